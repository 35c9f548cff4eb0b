"""`beep-media`: serve, config check, token, turn, check, load-test, --version.

Exit status 2 for bad arguments or configuration, 1 for a failed start and for what did not work.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from control import config as configuration
from control import load_test
from control.arguments import duration_s
from control.config import DEV_KEYS, Config
from control.errors import ConfigError, ControlError
from control.node import EngineFactory, SignalFactory
from control.section import Listen
from control.tokens import Grants, mint
from control.turn import cli as turn_cli
from control.version import VERSION


def main(
    arguments: Sequence[str] | None = None,
    *,
    engine_factory: EngineFactory | None = None,
    signal_factory: SignalFactory | None = None,
) -> int:
    """The console script. The factories are for tests that run without the native engine."""
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "serve":
                return _serve(options, engine_factory, signal_factory)
            case "config":
                return _check_config(options)
            case "turn":
                return turn_cli.run_turn(options)
            case "check":
                return turn_cli.run_check(options)
            case "load-test":
                return load_test.run(options)
            case _:
                return _print_token(options)
    except ControlError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, ConfigError) else 1


# -------------------------------------------------------------------------------------------------------- serve


def _serve(
    options: argparse.Namespace, engine_factory: EngineFactory | None, signal_factory: SignalFactory | None
) -> int:
    import asyncio

    import uvloop

    from control import logs, serve

    def load() -> Config:
        defaults = _dev_defaults(options) if options.dev else None
        return configuration.load(options.config, os.environ, _overrides(options), defaults=defaults)

    config = load()
    configuration.check_serving(config, dev=options.dev, role=options.role)
    logs.configure(config.log.format, config.log.level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            serve.run(
                config,
                dev=options.dev,
                role=options.role,
                # A try-out without a file has nothing to read again, and ends with its terminal.
                reload=load if options.config or not options.dev else None,
                engine_factory=engine_factory,
                signal_factory=signal_factory,
            )
        )


def _dev_defaults(options: argparse.Namespace) -> dict[str, Any]:
    defaults: dict[str, Any] = {"http": {"listen": _DEV_LISTEN}, "keys": dict(DEV_KEYS), "log": {"format": "console"}}
    defaults["turn"] = {"listen": _dev_turn(options)}
    if options.port is not None:
        # Not the first server on this machine, perhaps: its admin routes are on its public port anyway.
        defaults["admin"] = {"listen": None}
    if options.udp_port is not None:
        # The same.
        defaults["rtc"] = {"tcp_port": 0}
    return defaults


def _dev_turn(options: argparse.Namespace) -> list[str]:
    """Where HTTP listens; on free ports when this is not the first server on this machine, perhaps."""
    host = (options.host or "127.0.0.1").strip("[]")
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        host = "127.0.0.1"
    first = options.port is None and options.udp_port is None
    ports = {"udp": 3478, "tcp": 3478, "tls": 5349} if first else {"udp": 0, "tcp": 0, "tls": 0}
    return [f"{transport}://{Listen(host, port)}" for transport, port in ports.items()]


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if options.host is not None or options.port is not None:
        values["http"] = {"listen": str(_listen(options))}
    rtc = {"udp_port": options.udp_port, "tcp_port": options.tcp_port, "shards": options.shards}
    values["rtc"] = {key: None if value == "off" else value for key, value in rtc.items() if value is not None}
    return values


def _listen(options: argparse.Namespace) -> Listen:
    """`--host` and `--port` over what the file and the environment say."""
    dev = {"http": {"listen": _DEV_LISTEN}} if options.dev else None
    said = configuration.load(options.config, os.environ, defaults=dev).http.listen
    host = said.host if options.host is None else options.host.strip("[]")
    return Listen(host, said.port if options.port is None else options.port)


# ------------------------------------------------------------------------------------------------------- config


def _check_config(options: argparse.Namespace) -> int:
    config = configuration.load(options.file, os.environ)
    configuration.check_serving(config, dev=False, role=options.role)
    from control import tls
    from control.turn.settings import Surroundings, build

    if config.http.tls is not None:
        tls.from_files(config.http.tls.certificate, config.http.tls.key)
    build(config.turn, Surroundings(()))
    sys.stdout.write(f"{options.file}: fine\n")
    return 0


# -------------------------------------------------------------------------------------------------------- token


def _print_token(options: argparse.Namespace) -> int:
    key, secret = _signing_key(options)
    token = mint(
        key,
        secret,
        _grants(options),
        identity=options.identity,
        now=time.time(),
        ttl_s=options.ttl,
        name=options.name,
        metadata=options.metadata,
    )
    sys.stdout.write(token + "\n")
    return 0


def _signing_key(options: argparse.Namespace) -> tuple[str, str]:
    secrets = configuration.load(options.config, os.environ).secrets or DEV_KEYS
    name = options.key or next(iter(secrets))
    if name not in secrets:
        raise ConfigError(f"--key {name}: there is no such API key. Known: {', '.join(secrets)}.")
    return name, secrets[name]


def _grants(options: argparse.Namespace) -> Grants:
    try:
        said = json.loads(options.grants)
    except ValueError as error:
        raise ConfigError(f"--grants: is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise ConfigError('--grants: should be a JSON object such as {"canPublish": false}.')
    known = {str(field.alias) for field in Grants.model_fields.values()}
    if unknown := sorted(said.keys() - known):
        raise ConfigError(f"--grants: there is no grant '{unknown[0]}'. Known: {', '.join(sorted(known))}.")
    try:
        return Grants.model_validate_json(json.dumps({"roomJoin": True, "room": options.room, **said}))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"--grants: {path}: {problem['msg']}.") from error


# ------------------------------------------------------------------------------------------------------ options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="beep-media", description="A selective forwarding unit that LiveKit clients can talk to."
    )
    parser.add_argument("--version", action="version", version=f"beep-media {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run a node until SIGINT or SIGTERM"))
    config = commands.add_parser("config", help="work with configuration files")
    actions = config.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say whether a file can be served with (status 2 if not)")
    check.add_argument("file", type=Path, metavar="FILE")
    _add_role(check)
    _add_token(commands.add_parser("token", help="print an access token"))
    turn_cli.add_turn(commands.add_parser("turn", help="what a running node relays"))
    turn_cli.add_check(commands.add_parser("check", help="try a server out as a client would"))
    load_test.add(commands.add_parser("load-test", help="fill a room of a server, and say how it went"))
    return parser


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--config", type=Path, metavar="FILE", help="YAML; config.example.yaml shows every key")
    serve.add_argument(
        "--dev", action="store_true", help="try-out on this machine: key devkey, secret secret, two links to join"
    )
    serve.add_argument("--host", metavar="ADDR", help="listen there; with --dev and not loopback: self-signed TLS")
    serve.add_argument("--port", type=_port, metavar="N", help="HTTP port (7880); 0 takes a free one")
    serve.add_argument(
        "--udp-port", type=_port, metavar="N", help="first media port (7882), one per shard; 0 takes free ones"
    )
    serve.add_argument(
        "--tcp-port", type=_port_or_off, metavar="N", help="media port for TCP (7881); 0 takes a free one, off: none"
    )
    serve.add_argument("--shards", type=int, metavar="N", help="packet threads (one per CPU)")
    _add_role(serve)


def _add_role(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--role", type=_role, default="all", metavar="ROLE", help="all: a whole node (the default); turn: TURN alone"
    )


def _add_token(token: argparse.ArgumentParser) -> None:
    token.add_argument("--room", required=True)
    token.add_argument("--identity", required=True)
    token.add_argument("--name", default="", help="display name")
    token.add_argument("--metadata", default="")
    token.add_argument(
        "--ttl", type=duration_s, default=6 * 3600.0, metavar="TIME", help="30s, 10m, 6h (the default), 2d"
    )
    token.add_argument("--grants", default="{}", metavar="JSON", help='more of the video grant: {"canPublish": false}')
    token.add_argument(
        "--config", type=Path, metavar="FILE", help="take the API key from here (else BEEP_MEDIA_KEYS, else devkey)"
    )
    token.add_argument("--key", metavar="NAME", help="which API key, when there are several")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port (0 to 65535)")
    return int(text)


def _role(text: str) -> str:
    if text in {"control", "media"}:
        raise argparse.ArgumentTypeError(f"a node cannot be '{text}' alone yet; there are all and turn")
    if text not in {"all", "turn"}:
        raise argparse.ArgumentTypeError(f"there is no role '{text}'; there are all and turn")
    return text


def _port_or_off(text: str) -> int | str:
    return text if text == "off" else _port(text)


_DEV_LISTEN = "127.0.0.1:7880"

if __name__ == "__main__":
    sys.exit(main())

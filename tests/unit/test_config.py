"""Configuration: sources and their order, strictness, and what may not be served with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from control.config import DEV_KEYS, Config, check_serving, load
from control.errors import ConfigError
from control.section import Listen
from scripts.generate import ROOT, generated

OWN_KEYS = {"APIabc": "d" * 32}


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def refusal(path: Path | None, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environment or {})
    return str(caught.value)


def test_without_a_source_every_key_has_its_default() -> None:
    assert load(None, {}) == Config()


def test_an_empty_file_is_fine(tmp_path: Path) -> None:
    assert load(file(tmp_path, "# nothing\n"), {}) == Config()


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    path = file(tmp_path, "rtc: {udp_port: 1000, shards: 1}\nhttp: {listen: '127.0.0.1:1'}\n")
    config = load(
        path,
        {"BEEP_MEDIA_RTC__UDP_PORT": "2000", "BEEP_MEDIA_HTTP__LISTEN": "[::1]:2", "OTHER": "x"},
        {"rtc": {"udp_port": 3000}},
        defaults={"rtc": {"shards": 9}, "log": {"format": "console"}},
    )
    assert (config.rtc.udp_port, config.rtc.shards, config.log.format) == (3000, 1, "console")
    assert config.http.listen == Listen("::1", 2)


def test_lists_and_mappings_come_as_yaml_from_the_environment() -> None:
    config = load(None, {"BEEP_MEDIA_RTC__ADVERTISE": "[192.0.2.1, '2001:db8::1']", "BEEP_MEDIA_KEYS": "{a: b}"})
    assert [str(each) for each in config.rtc.advertise] == ["192.0.2.1", "2001:db8::1"]
    assert config.secrets == {"a": "b"}


def test_one_api_key_can_come_from_the_environment_with_its_case() -> None:
    assert load(None, {"BEEP_MEDIA_KEYS__APIabc": "123"}).secrets == {"APIabc": "123"}


def test_text_keys_are_not_read_as_yaml() -> None:
    config = load(None, {"BEEP_MEDIA_HTTP__TLS__CERTIFICATE": "8", "BEEP_MEDIA_HTTP__TLS__KEY": "null"})
    assert config.http.tls is not None
    assert (config.http.tls.certificate, config.http.tls.key) == ("8", "null")


def test_the_turn_section_takes_what_people_write(tmp_path: Path) -> None:
    text = """
turn:
  listen: ["udp://0.0.0.0:3478", "tcp:[::1]:443", "tls://192.0.2.1:0"]
  relay_ports: [50000, 50007]
  relay_hosts: [203.0.113.7/10.0.0.5, "2001:DB8::7"]
  allow_peers: [10.1.2.3/16, 192.0.2.9]
  users: {ada: correct}
  secrets: [new, old]
  tls: {cert: a.pem, key: b.pem}
"""
    turn = load(file(tmp_path, text), {}).turn
    assert [str(each) for each in turn.listen] == ["udp://0.0.0.0:3478", "tcp://[::1]:443", "tls://192.0.2.1:0"]
    assert str(turn.relay_ports) == "50000-50007"
    assert [str(each) for each in turn.relay_hosts] == ["203.0.113.7/10.0.0.5", "2001:db8::7"]
    assert turn.relay_hosts[1].bind == "2001:db8::7"
    assert turn.allow_peers == ("10.1.0.0/16", "192.0.2.9/32")
    assert turn.tls is not None and turn.tls.certificate == "a.pem"
    assert "correct" not in repr(turn) and "old" not in repr(turn)


def test_turn_users_keep_their_case_in_the_environment() -> None:
    variables = {
        "USERS__Ada": "123",
        "RELAY_PORTS": "50000-50001",
        "REALM": "1",
        "TLS__KEY": "8",
        "TLS__CERT": "c",
    }
    turn = load(None, {f"BEEP_MEDIA_TURN__{name}": value for name, value in variables.items()}).turn
    assert {name: word.get_secret_value() for name, word in turn.users.items()} == {"Ada": "123"}
    assert (str(turn.relay_ports), turn.realm) == ("50000-50001", "1")


def test_unknown_keys_are_refused_by_name(tmp_path: Path) -> None:
    assert refusal(file(tmp_path, "rtc: {udp_prt: 1}")).startswith("rtc.udp_prt: there is no such key.")
    assert refusal(None, {"BEEP_MEDIA_RTC__UDP_PRT": "1"}).startswith("rtc.udp_prt: there is no such key.")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rtc: {udp_port: '7882'}", "rtc.udp_port: Input should be a valid integer."),
        ("rtc: {udp_port: 70000}", "rtc.udp_port: Input should be less than or equal to 65535."),
        ("rtc: {udp_port: 65534, shards: 3}", "rtc: with 3 shards the last UDP port would be 65536; choose a lower"),
        ("rtc: {shards: true}", "rtc.shards: Input should be a valid integer."),
        ("rtc: {tcp_port: off}", "rtc.tcp_port: Input should be a valid integer."),
        ("rtc: {tcp_port: 65536}", "rtc.tcp_port: Input should be less than or equal to 65535."),
        ("rtc: {advertise: [example.org]}", "rtc.advertise.0: 'example.org' is not an IP address"),
        ("rtc: {advertise: ['192.0.2.1:x']}", "rtc.advertise.0: '192.0.2.1:x' has no port from 1 to 65535"),
        (
            "rtc: {advertise: ['192.0.2.1:65535'], shards: 2}",
            "rtc: with 2 shards the last port of 192.0.2.1:65535 would be",
        ),
        ("rtc: {bind: []}", "rtc.bind: Tuple should have at least 1 item"),
        ("http: {listen: 7880}", "http.listen: write it as host:port"),
        ("http: {listen: '::1:7880'}", "http.listen: write it as host:port, an IPv6 host in brackets"),
        ("http: {tls: {certificate: a}}", "http.tls.key: Field required."),
        ("turn: {listen: ['0.0.0.0:3478']}", "turn.listen.0: write it as udp://host:port"),
        ("turn: {listen: ['udp://example.org:1']}", "turn.listen.0: 'example.org' is not an IP address"),
        ("turn: {listen: ['udp://::1:1']}", "turn.listen.0: write it as host:port, an IPv6 host in brackets"),
        ("turn: {listen: ['udp://127.0.0.1:1', 'udp:127.0.0.1:1']}", "turn: listen: one is there twice."),
        ("turn: {relay_ports: 49152}", "turn.relay_ports: write it as first-last, within 1024-65535"),
        ("turn: {relay_ports: 60000-50000}", "turn.relay_ports: write it as first-last"),
        ("turn: {relay_ports: [80, 90]}", "turn.relay_ports: write it as first-last"),
        ("turn: {relay_hosts: [example.org]}", "turn.relay_hosts.0: 'example.org' is not an IP address"),
        ("turn: {relay_hosts: ['192.0.2.1/::1']}", "turn.relay_hosts.0: both addresses must be of one family"),
        ("turn: {relay_hosts: ['0.0.0.0']}", "turn.relay_hosts.0: peers cannot send to an unspecified address"),
        ("turn: {allow_peers: [everybody]}", "turn.allow_peers.0: 'everybody' is not a network"),
        ("turn: {secrets: [a, b, c]}", "turn.secrets: Tuple should have at most 2 items"),
        ("turn: {secrets: ['']}", "turn.secrets: one is empty."),
        ("turn: {users: {ada: ''}}", "turn: users: a name or a password is empty."),
        ("turn: {users: {'1790000000:ada': x}}", "turn: users.1790000000:ada: a name cannot have a colon"),
        ("turn: {tls: {certificate: a}}", "turn.tls.key: Field required."),
        ("turn: {domain: 'https://example.org'}", "turn.domain: String should match pattern"),
        ("turn: {quotas: {channels: 0}}", "turn.quotas.channels: Input should be greater than or equal to 1."),
        ("keys: {a: 5}", "keys.a: Input should be a valid string."),
        ("keys: {a: ''}", "keys.a: the secret is empty."),
        ("drain_for_s: -1", "drain_for_s: Input should be greater than or equal to 0."),
        ("log: {level: loud}", "log.level: Input should be 'debug', 'info', 'warning' or 'error'."),
        ("[1, 2]", "should be a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_bad_values_get_a_sentence_that_names_the_key(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refusal(file(tmp_path, text))


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    assert len(refusal(file(tmp_path, "rtc: {udp_port: x, shards: x}\nnope: 1")).splitlines()) == 3


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    text = refusal(file(tmp_path, "keys: {a: hunter2}\nnope: hunter2"))
    assert "hunter2" not in text + repr(load(None, {"BEEP_MEDIA_KEYS": "{a: hunter2}"}))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "gone.yaml")


def test_two_variables_for_one_place_are_refused() -> None:
    assert "Keep one of the two" in refusal(None, {"BEEP_MEDIA_RTC": "5", "BEEP_MEDIA_RTC__SHARDS": "1"})


@pytest.mark.parametrize("keys", [DEV_KEYS, {"other": "secret"}, {"devkey": "d" * 32}])
def test_development_keys_are_refused_where_other_machines_reach(keys: dict[str, str]) -> None:
    config = load(None, {}, {"keys": keys})
    with pytest.raises(ConfigError, match="development key"):
        check_serving(config, dev=False)
    check_serving(config, dev=True)


@pytest.mark.parametrize("listen", ["127.0.0.1:7880", "[::1]:7880", "localhost:7880", "127.8.9.10:1"])
def test_development_keys_are_fine_on_loopback(listen: str) -> None:
    check_serving(load(None, {}, {"keys": DEV_KEYS, "http": {"listen": listen}}), dev=False)


@pytest.mark.parametrize("listen", ["0.0.0.0:7880", "[::]:7880", "192.0.2.1:80", "media.example.org:80"])
def test_anything_else_counts_as_reachable(listen: str) -> None:
    assert not Listen.parse(listen).is_loopback


def test_own_keys_may_be_served_anywhere() -> None:
    check_serving(load(None, {}, {"keys": OWN_KEYS}), dev=False)


def test_serving_without_keys_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no API key"):
        check_serving(Config(), dev=False)


def test_the_example_is_the_defaults() -> None:
    assert load(ROOT / "config.example.yaml", {}) == Config()


def test_the_example_shows_every_key() -> None:
    # Taking the comment signs off gives a file that is valid apart from the values that have no default.
    text = "\n".join(
        line.replace("# ", "", 1) if line.strip().startswith("# ") and line.rstrip().endswith(":") else line
        for line in (ROOT / "config.example.yaml").read_text().splitlines()
    )
    shown = yaml.safe_load(text)

    def paths(values: Any) -> set[str]:
        if not isinstance(values, dict) or not values:
            return {""}
        return {f"{key}.{below}".rstrip(".") for key, value in values.items() for below in paths(value)}

    documented = {
        line.split("`")[1] for line in (ROOT / "docs/config.md").read_text().splitlines() if line.startswith("| `")
    }
    assert paths(shown) == documented


@pytest.mark.parametrize("path", generated(), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text() == generated()[path], "run `make generate`"

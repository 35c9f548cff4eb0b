"""Runs a plan: servers side by side, round by round, each load on one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.rounds import Say, turned
from bench.turn.cells import Group, Plan
from bench.turn.certificate import Certificate
from bench.turn.gates import Measured, Memory, Results, ZeroHop
from bench.turn.generator import Generator
from bench.turn.servers import SERVERS, Server
from bench.turn.statistics import Row, Sample
from bench.turn.zero_hop import OursWithMedia, run_zero_hop


class Bench:
    """One run of the bench, on the servers of these names."""

    def __init__(self, names: Sequence[str], directory: Path, say: Say) -> None:
        self.names = names
        self.directory = directory
        self.say = say
        self.certificate = Certificate.write(directory)
        #: What was started, by server: for the report.
        self.commands: dict[str, list[str]] = {}
        self.versions: dict[str, str] = {}

    def run(self, plan: Plan) -> Results:
        """Everything, in the order of the plan."""
        return Results(
            measured=tuple(each for group in plan.groups for each in self.measure(group, plan)),
            zero_hop=tuple(self.measure_zero_hop(plan)),
            memory=tuple(self.measure_memory(plan)),
        )

    def measure(self, group: Group, plan: Plan) -> Iterator[Measured]:
        """All loads of a group. The order of servers turns from round to round: nobody is always the first."""
        names = [name for name in group.servers if name in self.names]
        with contextlib.ExitStack() as stack:
            generators = {}
            for name in names:
                server = self._start(stack, SERVERS[name], tls=group.transport == "tls")
                generators[name] = stack.enter_context(Generator(server))
                generators[name].prepare(group.allocations, group.transport, gro=group.gro)
            samples: dict[tuple[int, str], list[Sample]] = {}
            for number in range(plan.rounds):
                self.say(f"{group.name}, {group.allocations} allocations: round {number + 1} of {plan.rounds}")
                for position, load in enumerate(group.loads):
                    for name in turned(names, number):
                        sample = generators[name].run(load, plan.warm_up_s, plan.seconds)
                        samples.setdefault((position, name), []).append(sample)
        for position, load in enumerate(group.loads):
            rows = {name: Row(name, tuple(samples[position, name])) for name in names}
            yield Measured(group, load, rows)

    def measure_zero_hop(self, plan: Plan) -> Iterator[ZeroHop]:
        """Ours with its SFU as the peer, beside coturn that relays to a socket: what reaching an SFU costs each."""
        allocations, loads = plan.zero_hop
        if "ours" not in self.names or not loads:
            return
        with contextlib.ExitStack() as stack:
            ours = self._start(stack, OursWithMedia)
            assert isinstance(ours, OursWithMedia)
            inside = stack.enter_context(Generator(ours))
            inside.prepare(allocations, peer=ours.media)
            outside = None
            if "coturn" in self.names:
                outside = stack.enter_context(Generator(self._start(stack, SERVERS["coturn"])))
                outside.prepare(allocations)
            for load in loads:
                samples: dict[str, list[Sample]] = {}
                for number in range(plan.rounds):
                    self.say(f"zero hop, trains of {load.train}: round {number + 1} of {plan.rounds}")
                    sample = run_zero_hop(ours, inside, load, plan.warm_up_s, plan.seconds)
                    samples.setdefault("ours", []).append(sample)
                    if outside is not None:
                        samples.setdefault("coturn", []).append(outside.run(load, plan.warm_up_s, plan.seconds))
                yield ZeroHop(allocations, load, {name: Row(name, tuple(each)) for name, each in samples.items()})

    def measure_memory(self, plan: Plan) -> Iterator[Memory]:
        """Growth of resident memory: by allocations, and by requests without credentials."""
        for name in ("coturn", "pion", "ours"):
            if name in self.names and plan.memory_allocations:
                self.say(f"memory of {name}")
                yield self._memory(name, plan)

    def _memory(self, name: str, plan: Plan) -> Memory:
        with contextlib.ExitStack() as stack:
            server = self._start(stack, SERVERS[name])
            _allocate(stack, server, WARM_UP_ALLOCATIONS)
            before, engine_before = server.resident_bytes(), server.engine_bytes()
            _allocate(stack, server, plan.memory_allocations)
            after, engine_after = server.resident_bytes(), server.engine_bytes()
        engine = None
        if engine_before is not None and engine_after is not None:
            engine = (engine_after - engine_before) / plan.memory_allocations
        strangers = {
            request: self._stranger_bytes(name, request, plan.strangers) for request in ("binding", "allocate")
        }
        return Memory(name, (after - before) / plan.memory_allocations, engine, strangers)

    def _stranger_bytes(self, name: str, request: str, count: int) -> float:
        with contextlib.ExitStack() as stack:
            server = self._start(stack, SERVERS[name])
            generator = stack.enter_context(Generator(server))
            generator.ask_as_strangers(request, WARM_UP_STRANGERS)
            before = server.resident_bytes()
            generator.ask_as_strangers(request, count)
            return (server.resident_bytes() - before) / count

    def _start(self, stack: contextlib.ExitStack, kind: type[Server], *, tls: bool = False) -> Server:
        server = stack.enter_context(kind(self.directory, self.certificate if tls else None))
        self.commands[server.name] = server.public_command()
        self.versions[server.name] = server.version
        return server


def _allocate(stack: contextlib.ExitStack, server: Server, count: int) -> None:
    """The generator lives as long as the stack: who lets go of its socket may be forgotten."""
    stack.enter_context(Generator(server)).prepare(count)


#: Brings in the code and the pages that the first of everything takes.
WARM_UP_ALLOCATIONS = 50
WARM_UP_STRANGERS = 2_000

"""Runs a plan: servers side by side, round by round, each case on one after the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.calls import floor
from bench.calls.floor import Floor
from bench.calls.generator import Generator, Target
from bench.calls.results import Measured, MemoryGrowth, MemoryPoint, Results, Swept
from bench.calls.scenarios import Case, Churn, Measure, MemoryPlan, Participant, Plan, Sweep, everyday
from bench.calls.servers import KEY, SECRET, SERVERS, CallServer
from bench.calls.statistics import Row, Sample
from bench.loadgen import PeerError
from bench.rounds import Say, turned


class Bench:
    """One run of the bench, on the servers of these names."""

    def __init__(self, names: Sequence[str], directory: Path, media: Path, say: Say) -> None:
        self.names = names
        self.directory = directory
        self.media = media
        self.say = say
        #: What was started, by server: for the report.
        self.commands: dict[str, list[str]] = {}
        self.configurations: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, str] = {}
        self.failures: list[str] = []
        self._rooms = 0

    def run(self, plan: Plan) -> Results:
        """Everything, in the order of the plan."""
        return Results(
            measured=tuple(self.measure(case, plan) for case in plan.cases),
            swept=tuple(self.sweep(sweep, plan) for sweep in plan.sweeps),
            memory=tuple(self.memory(plan)),
            failures=tuple(self.failures),
        )

    def measure(self, case: Case, plan: Plan) -> Measured:
        """The order of servers turns from round to round: nobody is always the first. The floor comes right after ours."""
        what = f"{case.group}, {case.name}"
        with contextlib.ExitStack() as stack:
            servers = self._start_all(stack, plan.servers(self.names, case.group))
            samples: dict[str, list[Sample]] = {name: [] for name in servers}
            floors: dict[str, Floor] = {}
            if "ours" in servers and case.group in floor.GROUPS:
                with self._failing(floors, "floor", what):
                    floors["floor"] = stack.enter_context(floor.beside(case))
            for number in range(plan.rounds):
                self.say(f"{what}: round {number + 1} of {plan.rounds}")
                for name in turned(list(samples), number):
                    with self._failing(samples, name, what):
                        samples[name].append(self._sample(servers[name], case, plan))
                    if name == "ours" and name in samples and floors:
                        with self._failing(floors, "floor", what):
                            floors["floor"].measure(samples[name][-1], plan.seconds)
        rows = {name: Row(name, tuple(each)) for name, each in samples.items()}
        return Measured(case, rows, floors["floor"].found if floors else None)

    def sweep(self, sweep: Sweep, plan: Plan) -> Swept:
        """How many listeners make which load is found once for each server."""
        with contextlib.ExitStack() as stack:
            servers = self._start_all(stack, plan.servers(self.names, sweep.group))
            rows: dict[str, list[tuple[int, list[Sample]]]] = {name: [] for name in servers}
            for name, server in servers.items():
                with self._failing(rows, name, f"{sweep.group}, {sweep.name}"):
                    few = self._try(server, sweep, sweep.first, plan)
                    many = self._try(server, sweep, sweep.many(few[1]), plan)
                    rows[name] = [(sweep.listeners(load, few, many), []) for load in sweep.loads]
            for number in range(plan.rounds):
                for place, load in enumerate(sweep.loads):
                    self.say(f"{sweep.group}, {sweep.name}, {load:.0%}: round {number + 1} of {plan.rounds}")
                    for name in turned(list(rows), number):
                        with self._failing(rows, name, f"{sweep.group}, {sweep.name}, {load:.0%}"):
                            listeners, samples = rows[name][place]
                            samples.append(self._sample(servers[name], sweep.case(listeners), plan))
        return Swept(
            sweep,
            {
                name: [(listeners, Row(name, tuple(samples))) for listeners, samples in each]
                for name, each in rows.items()
            },
        )

    def _try(self, server: CallServer, sweep: Sweep, listeners: int, plan: Plan) -> tuple[int, float]:
        return listeners, self._sample(server, sweep.case(listeners), plan).server_busy

    @contextlib.contextmanager
    def _failing(self, servers: dict[str, Any], name: str, what: str) -> Iterator[None]:
        """Who cannot do something is missing there; a run of hours goes on."""
        try:
            yield
        except (PeerError, ValueError) as error:
            self.failures.append(f"{name}: {what}: {error}")
            self.say(self.failures[-1])
            servers.pop(name, None)

    def memory(self, plan: Plan) -> Iterator[MemoryGrowth]:
        """Growth of resident memory: by people who do nothing, and by subscriptions of people who are there anyway."""
        if plan.memory is None:
            return
        for name in plan.servers(self.names, "memory"):
            self.say(f"memory of {name}")
            idle = tuple(self._idle_memory(name, plan.memory))
            yield MemoryGrowth(name, idle, self._subscription_bytes(name, plan.memory))

    def _idle_memory(self, name: str, plan: MemoryPlan) -> Iterator[MemoryPoint]:
        with contextlib.ExitStack() as stack:
            server = self._start(stack, name)
            self._warm_up(server)
            generator = stack.enter_context(self._generator(server))
            there = 0
            for participants in plan.idle:
                if participants > there:
                    generator.join(Case("memory", "", (Participant(),) * (participants - there)), self._next_room())
                there = participants
                time.sleep(SETTLE_S)
                yield MemoryPoint(participants, server.resident_bytes())

    def _subscription_bytes(self, name: str, plan: MemoryPlan) -> float:
        wanting = everyday(plan.everyday)
        silent = Case("memory", "", tuple(Participant(audio=True, video="vp8") for _ in wanting.participants))
        with_them, without = (self._resident(name, case, plan.fill_s) for case in (wanting, silent))
        return (with_them - without) / wanting.subscriptions

    def _resident(self, name: str, case: Case, fill_s: float) -> int:
        with contextlib.ExitStack() as stack:
            server = self._start(stack, name)
            self._warm_up(server)
            stack.enter_context(self._generator(server)).join(case, self._next_room())
            time.sleep(fill_s)
            return server.resident_bytes()

    def _warm_up(self, server: CallServer) -> None:
        """Brings in the code and the pages that the first of everything takes."""
        with self._generator(server) as generator:
            generator.join(everyday(WARM_UP_SIZE), self._next_room())

    def _sample(self, server: CallServer, case: Case, plan: Plan) -> Sample:
        """One round of a case on one server: they come, it happens, they go."""
        with contextlib.ExitStack() as stack:
            beside = None
            if case.neighbour is not None:
                beside = stack.enter_context(self._generator(server))
                beside.join(case.neighbour, self._next_room())
            generator = stack.enter_context(self._generator(server))
            joined = generator.join(case, self._next_room())
            time.sleep(plan.warm_up_s)
            # What the rooms of a churn cost anyway is not the cost of joins.
            rest = generator.run(Measure(), plan.seconds) if isinstance(case.action, Churn) else None
            if beside is not None and case.neighbour is not None:
                beside.start(case.neighbour.action, plan.seconds + 1)
            report = generator.run(case.action, plan.seconds)
            if beside is not None and case.neighbour is not None:
                beside.hear(case.neighbour.action.do)
            generator.leave(len(case.participants))
            return Sample.from_reports(joined, report, rest)

    def _generator(self, server: CallServer) -> Generator:
        target = Target(server.url, KEY, SECRET, server.pid)
        return Generator(target, self.media)

    def _next_room(self) -> str:
        """Never the same again: servers keep rooms for a while."""
        self._rooms += 1
        return f"bench-{self._rooms}"

    def _start_all(self, stack: contextlib.ExitStack, names: Sequence[str]) -> dict[str, CallServer]:
        return {name: self._start(stack, name) for name in names}

    def _start(self, stack: contextlib.ExitStack, name: str) -> CallServer:
        server = stack.enter_context(SERVERS[name](self.directory))
        self.commands[name] = server.public_command()
        self.configurations[name] = server.config()
        self.versions[name] = server.version
        return server


#: Until what came in is settled: allocators and collectors included, as far as they ever are.
SETTLE_S = 2.0
WARM_UP_SIZE = 4

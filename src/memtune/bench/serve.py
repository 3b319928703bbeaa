"""`memtune bench serve`: a server that many clients ask at once.

Server, clients and what they are compared with are processes of their own on one machine; what is compared runs by
turns, round after round, so that a busy minute of the machine meets all of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtune.bench import serve_peers, serve_processes, serve_world
from memtune.bench.serve_processes import Child, Server
from memtune.bench.serve_result import Load, Resident, ServeResult, Soak
from memtune.bench.serve_world import BASE, NORTH, OLD, SOUTH, World
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.errors import MemtuneError
from memtune.evaluate.output import Say, silent

_LEAST_SECONDS = 2.0
_BATCH = 64
_ADAPTERS = (8, 64)
_OFFLINE, _PEFT = "memtune.bench.serve_offline", "memtune.bench.serve_peers"
LORA, KV = "lora", "kv"


@dataclass(frozen=True)
class Size:
    """How much is asked."""

    seconds: float = 20.0
    clients: int = 64
    facts: int = 200
    tokens: int = 24
    experts: int = 100
    repeats: int = 3
    threads: int = 1
    seed: int = 0

    @property
    def turn(self) -> float:
        """Seconds of one arm in one round."""
        return max(_LEAST_SECONDS, self.seconds / 4)


def measure(
    backbone: Backbone,
    model: str,
    config: Config,
    size: Size,
    *,
    settings: Sequence[str] = (),
    soak_only: bool = False,
    with_peers: bool = True,
    say: Say = silent,
) -> ServeResult:
    """`model`: the name under which each process loads the backbone; `settings`: of the server, as KEY=VALUE."""
    result = ServeResult(size.facts, size.tokens, size.threads, size.repeats)
    with tempfile.TemporaryDirectory(prefix="memtune-") as name:
        say(f"two memories of {size.facts} facts, one of them with two versions")
        world = serve_world.make(
            backbone, Path(name), config, facts=size.facts, tokens=size.tokens, seed=size.seed, even=size.experts
        )  # fmt: skip
        bench = _Bench(world, model, tuple(settings), size, result, say)
        if not soak_only:
            bench.add_kinds(backbone, config)
        bench.soak()
        if not soak_only:
            bench.beside_itself()
            bench.many_experts()
        if with_peers and not soak_only:
            bench.beside_transformers()
            bench.beside_peft()
    return result


@dataclass
class _Bench:
    """The arms, each measured in turns with those that it is compared with."""

    world: World
    model: str
    settings: tuple[str, ...]
    size: Size
    result: ServeResult
    say: Say

    def add_kinds(self, backbone: Backbone, config: Config) -> None:
        """Memories of other kinds of experts, where the model can have them."""
        for kind in (KV, LORA):
            self.say(f"a memory of {kind} experts")
            try:
                serve_world.add(backbone, self.world, kind, config)
            except MemtuneError as fault:
                self._skip(f"{kind} is left out: {fault.message}.")

    # ---- one process against another ----------------------------------------------------------------------------

    def soak(self) -> None:
        """All clients at several memories and versions."""
        models, size = [NORTH, OLD, SOUTH, BASE], self.size
        asked = [one for model in models for one in self.world.asked(model)]
        with self._server() as server:
            self.say(f"{size.clients} clients for {size.seconds:g} s")
            load, sizes = self._load(server, asked, size.clients, size.seconds)
        self.result.soak = Soak(size.clients, size.seconds, models, load, Resident.of(sizes, size.seconds))

    def beside_itself(self) -> None:
        """The server against batches without it, a memory against the model alone, for one client and for many."""
        clients, memory, base = self.size.clients, self.world.asked(NORTH), self.world.asked(BASE)
        offline, many, plain = f"offline, batches of {_BATCH}", _clients(clients), f"{_clients(clients)}, base"
        with self._server() as server, self._offline() as asker:
            for _ in self._rounds():
                self._ask(asker, offline, NORTH, self.world.questions)
                self._turn(server, many, memory, clients)
                self._turn(server, plain, base, clients)
                self._turn(server, "1 client", memory, 1)
                self._turn(server, "1 client, base", base, 1)
        self.result.compare("served / offline, tokens/s", many, offline, target=0.9)
        for name in dict.fromkeys(("1 client", many)):
            self.result.compare(
                f"first token, {name}: memory / base", name, f"{name}, base", first=True, target=1.5
            )  # fmt: skip

    def many_experts(self) -> None:
        """As many clients as experts, each with an expert of its own, against the same clients with one expert."""
        n = min(self.size.experts, self.size.facts)
        kinds = {"imprint": NORTH} | {kind: kind for kind in (KV, LORA) if kind in self.world.versions}
        with self._server(f"serve.rows={n}") as server:
            for _ in self._rounds():
                for kind, memory in kinds.items():
                    asked = self.world.asked(memory, range(n))
                    self._turn(server, f"{n} clients, {n} experts, {kind}", asked, n, own=True)
                    self._turn(server, f"{n} clients, one expert, {kind}", asked[:1], n, own=True)
        for kind in kinds:
            names = (f"{n} clients, {n} experts, {kind}", f"{n} clients, one expert, {kind}")
            self.result.compare(f"{n} experts / one, {kind}, tokens/s", *names, target=0.9)

    # ---- peers --------------------------------------------------------------------------------------------------

    def beside_transformers(self) -> None:
        """The model alone, behind memtune and behind `transformers serve`: the same prompts, replies as long."""
        missing = serve_peers.missing_for_transformers()
        if missing:
            self._skip(f"{missing}.")
            return
        for name in serve_peers.TRANSFORMERS:
            try:
                self._beside_transformers(name)
            except MemtuneError as fault:
                self._skip(f"{fault.message}.")

    def _beside_transformers(self, name: str) -> None:
        many, ours = self.size.clients, "memtune serve, base"
        with self._server() as server, serve_peers.serving(name, self.model, self.size.threads) as peer:
            mine, theirs = self.world.asked(BASE), self.world.asked(BASE, called=peer.model)
            self._load(peer, theirs, 1, _LEAST_SECONDS)  # the first answer of a process is slower
            for _ in self._rounds():
                for clients in (many, 1):
                    self._turn(server, f"{ours}, {_clients(clients)}, beside {name}", mine, clients)
                    self._turn(peer, f"{name}, {_clients(clients)}", theirs, clients)
        for clients in (many, 1):
            pair = (f"{ours}, {_clients(clients)}, beside {name}", f"{name}, {_clients(clients)}")
            self.result.compare(f"memtune / {name}, {_clients(clients)}, tokens/s", *pair)
            self.result.compare(f"memtune / {name}, {_clients(clients)}, first token", *pair, first=True)

    def beside_peft(self) -> None:
        """Distinct experts in one batch, without a server, against distinct adapters of peft in one batch."""
        missing = serve_peers.missing_for_peft()
        if missing:
            self._skip(f"{missing}.")
            return
        kinds = [kind for kind in (LORA, NORTH) if kind in self.world.versions]
        with self._offline() as asker, serve_processes.child(_PEFT, self.size.threads) as peer:
            peer.ask({"model": self.model, "settings": self.settings, "adapters": max(_ADAPTERS)})
            for _ in self._rounds():
                for n in _ADAPTERS:
                    questions = [self.world.questions[i % n % self.size.facts] for i in range(_BATCH)]
                    for kind in kinds:
                        self._ask(asker, _experts(kind, n), kind, questions)
                    wanted = {"questions": questions, "adapters": n, "tokens": self.size.tokens}
                    found = peer.ask(wanted | {"seconds": self.size.turn})
                    self.result.arm(_adapters(n)).note(**found)
        for n in _ADAPTERS:
            for kind in kinds:
                self.result.compare(f"{_experts(kind, n)} / {_adapters(n)}, tokens/s", _experts(kind, n), _adapters(n))

    # ---- turns --------------------------------------------------------------------------------------------------

    def _rounds(self) -> range:
        return range(self.size.repeats)

    def _server(self, *settings: str) -> AbstractContextManager[Server]:
        return serve_processes.serving(self.world.data, self.model, [*self.settings, *settings], self.size.threads)

    @contextmanager
    def _offline(self) -> Iterator[Child]:
        memories = {name: str(self.world.path(name)) for name in (NORTH, LORA) if name in self.world.versions}
        with serve_processes.child(_OFFLINE, self.size.threads) as asker:
            asker.ask({"model": self.model, "settings": self.settings, "memories": memories})
            yield asker

    def _ask(self, asker: Child, name: str, memory: str, questions: Sequence[str]) -> None:
        wanted = {"memory": memory, "questions": list(questions), "seconds": self.size.turn, "batch": _BATCH}
        found = asker.ask(wanted)
        self.result.arm(name).note(**found)
        self.say(f"{name}: {found['tokens_per_second']:.0f} tokens/s")

    def _turn(
        self, server: Server, name: str, asked: Sequence[Mapping[str, Any]], clients: int, *, own: bool = False
    ) -> None:
        load, _ = self._load(server, asked, clients, self.size.turn, own=own)
        arm = self.result.arm(name)
        arm.peer = server.peer
        arm.add(load)
        self.say("; ".join([f"{name}: {load.tokens_per_second:.0f} tokens/s", *load.problems[:1]]))

    def _load(
        self,
        server: Server,
        asked: Sequence[Mapping[str, Any]],
        clients: int,
        seconds: float,
        *,
        own: bool = False,
    ) -> tuple[Load, list[tuple[float, int]]]:
        plan = {
            "port": server.port,
            "clients": clients,
            "seconds": seconds,
            "asked": list(asked),
            "own": own,
            "seed": self.size.seed,
        }
        found, sizes = serve_processes.load(plan, server.pid)
        return Load(**found), sizes

    def _skip(self, why: str) -> None:
        self.say(why)
        self.result.skipped.append(why)


def _clients(n: int) -> str:
    return "1 client" if n == 1 else f"{n} clients"


def _experts(kind: str, n: int) -> str:
    return f"{n} {'imprint' if kind == NORTH else kind} experts in a batch of {_BATCH}"


def _adapters(n: int) -> str:
    return f"peft, {n} adapters in a batch of {_BATCH}"

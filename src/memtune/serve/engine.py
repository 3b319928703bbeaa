"""One thread that decodes for all: requests join the batch while it runs, and leave it when they have ended."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from memtune.config import DecodeConfig, ServeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Early, Kind
from memtune.core.generate import Decoder, Read, Request
from memtune.core.reports import Scored
from memtune.core.rows import Reply, Row, room_for
from memtune.errors import MemtuneError
from memtune.serve.prefixes import Prefixes

log = logging.getLogger("memtune.serve")
_GATHER_SECONDS = 0.05
"""How long a request may wait for others that are on their way, so that their prompts are read together."""
_REST_SECONDS = 30.0
"""After which the room of a batch without rows is given back."""
_SLOWEST, _FASTEST = 60.0, 1.0


class Busy(Exception):
    """The queue is full. Come back after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the server is busy; try again in {seconds:.0f} s")
        self.seconds = seconds


class EngineFailed(MemtuneError):
    """Decoding broke down; the requests that were under way are lost."""


@dataclass(frozen=True)
class Piece:
    """What is said next."""

    text: str
    scores: tuple[Scored, ...] = ()


Event = Piece | Reply | Exception
"""A piece; at the end the whole reply, or why there is none."""


@dataclass
class Ticket:
    """A request on its way. `deliver` is called in the engine's thread and must not wait."""

    request: Request
    config: DecodeConfig
    deliver: Callable[[Event], None]
    streams: bool = False
    since: float = field(default_factory=time.monotonic)
    gone: bool = False
    """Nobody waits for it any more: it was cancelled, or its end was told."""
    row: Row | None = None
    told_at: float = 0.0
    told: int = 0
    """Tokens whose scores were told."""

    def cancel(self) -> None:
        self.gone = True

    def end(self, event: Reply | Exception) -> None:
        """Tell the last that there is to tell; of several ends only the first."""
        if not self.gone:
            self.gone = True
            self.deliver(event)


@dataclass
class Load:
    """How busy the engine is, and what it has done since it began."""

    waiting: int = 0
    rows: int = 0
    tokens: int = 0
    steps: int = 0
    prompts: int = 0
    prefix_hits: int = 0
    prefix_misses: int = 0


class Engine:
    """The batch of one backbone."""

    def __init__(
        self, backbone: Backbone, kinds: Sequence[Kind], config: ServeConfig, coming: Callable[[], int] = lambda: 0
    ) -> None:
        """`coming`: how many requests are being routed and will be here in a moment."""
        self.backbone, self.kinds, self.config, self._coming = backbone, kinds, config, coming
        self._early = [kind for kind in kinds if isinstance(kind, Early)]
        self.load = Load()
        self._prefixes = Prefixes(backbone, config.prefix_tokens, config.shortest_prefix)
        self._waiting: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._running: Decoder | None = None
        self._tickets: list[Ticket] = []
        """Those of the running rows, in their order."""
        self._joining: list[Ticket] = []
        """Those that have left the queue since the turn began."""
        self._rate = 0.0
        """Requests that end in a second, lately."""
        self._ended_at = time.monotonic()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="memtune-engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._stopping

    # ---- what others call ---------------------------------------------------------------------------------------

    def require_room(self, *, arriving: int = 0) -> None:
        """Raise Busy where so many are on their way here that one more would wait too long. `arriving`: 1 where the one
        that asks is counted among those who are coming."""
        waiting = len(self._waiting) + self._coming() - arriving
        if waiting >= self.config.queue:
            raise Busy(min(_SLOWEST, max(_FASTEST, waiting / self._rate if self._rate else _FASTEST)))

    def submit(self, ticket: Ticket) -> None:
        """Take a request; Busy where the queue is full."""
        room_for(self.backbone, ticket.request.prompt)
        self.require_room()
        with self._changed:
            if self._stopping:
                raise Busy(_FASTEST)
            self._waiting.append(ticket)
            self._changed.notify()

    def stop(self) -> None:
        """End at once; who still waits is told so."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    # ---- the loop -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._stopping or self._waiting or self._tickets, _REST_SECONDS):
                    self._running = None  # its room is given back
                    continue
                if not self._tickets and not self._may_join():
                    self._changed.wait(_GATHER_SECONDS / 10)
                self._drop_gone()
            if self._stopping:
                break
            try:
                self._turn()
            except BaseException as fault:  # a panic of a library in Rust too: the next requests are served
                log.exception("decoding broke down")
                self._fail(fault)
        self._fail(EngineFailed("the server is ending"), everyone=True)

    def _drop_gone(self) -> None:
        """Who was cancelled while it waited takes no place in the queue."""
        if any(ticket.gone for ticket in self._waiting):
            self._waiting = deque(ticket for ticket in self._waiting if not ticket.gone)

    def _turn(self) -> None:
        self._joining = []
        if self._may_join():
            self._join(self._next())
        if self._running is not None and self._tickets:
            self._running.step()
            self.load.steps += 1
            self.load.tokens += len(self._tickets)
        self._tell()
        self.load.waiting, self.load.rows = len(self._waiting), len(self._tickets)
        self.load.prefix_hits, self.load.prefix_misses = self._prefixes.hits, self._prefixes.misses

    def _may_join(self) -> bool:
        """Reading a prompt holds up all that decode, so newcomers are read together where that is worth while."""
        room = self.config.rows - len(self._tickets)
        if not self._waiting or room <= 0 or (self._running is not None and not self._running.can_change):
            return False
        return not self._worth_waiting(room)

    def _worth_waiting(self, room: int) -> bool:
        """Whether others come in a moment, or few wait where many decode."""
        if len(self._waiting) >= min(room, self.config.rows // 2):
            return False
        more_come = self._coming() > 0 or 8 * len(self._waiting) < len(self._tickets)
        return more_come and time.monotonic() - self._waiting[0].since < _GATHER_SECONDS

    def _next(self) -> dict[int, tuple[Read | None, list[Ticket]]]:
        """Those who join now, by the beginning that their prompts share; no more than are read in one pass."""
        groups: dict[int, tuple[Read | None, list[Ticket]]] = {}
        taken = longest = 0
        while self._waiting and len(self._tickets) + taken < self.config.rows:
            ticket = self._waiting[0]
            prompt, early = ticket.request.prompt, self._acts_early(ticket.request)
            size = len(prompt.ids) - (0 if early else self._prefixes.known(prompt))
            if taken and (taken + 1) * max(longest, size) > self.config.read_tokens:
                break
            self._waiting.popleft()
            if ticket.gone:
                continue
            self._joining.append(ticket)
            read = None if early else self._prefixes.of(prompt)
            groups.setdefault(id(read), (read, []))[1].append(ticket)
            taken, longest = taken + 1, max(longest, size)
        return groups

    def _acts_early(self, request: Request) -> bool:
        """Whether an expert acts on the beginning of the prompt too, so that it is not the plain backbone's."""
        return any(kind.acts_early(expert) for kind in self._early for expert in request.experts.get(kind.name, ()))

    def _join(self, groups: dict[int, tuple[Read | None, list[Ticket]]]) -> None:
        for read, tickets in groups.values():
            requests, configs = [t.request for t in tickets], [t.config for t in tickets]
            try:
                new = Decoder(self.backbone, self.kinds, requests, configs, read=read)
                new.step()
            except Exception as fault:
                log.exception("a prompt could not be read")
                for ticket in tickets:
                    ticket.end(_as_told(fault))
                continue
            for ticket, row in zip(tickets, new.rows, strict=True):
                ticket.row = row
            self.load.prompts += len(tickets)
            if self._running is None:
                self._running = new
            elif new.can_change:
                self._running.absorb(new)
            self._tickets += tickets

    # ---- telling ------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Pieces that are due, and replies that are whole; who has ended leaves."""
        now = time.monotonic()
        gone = []
        for n, ticket in enumerate(self._tickets):
            assert ticket.row is not None
            ended = bool(ticket.row.reply.finish)
            if ticket.streams and not ticket.gone and (ended or 1000 * (now - ticket.told_at) >= self.config.flush_ms):
                self._tell_piece(ticket, ticket.row, now)
            if ended and not ticket.gone:
                ticket.end(_outcome(ticket.row))
            if ticket.gone:
                gone.append(n)
        if gone:
            self._let_go(gone, now)

    def _tell_piece(self, ticket: Ticket, row: Row, now: float) -> None:
        text = row.news()
        if text:
            scores = tuple(row.reply.scores[ticket.told :])
            ticket.told, ticket.told_at = len(row.reply.scores), now
            ticket.deliver(Piece(text, scores))

    def _let_go(self, gone: Sequence[int], now: float) -> None:
        assert self._running is not None
        if len(gone) == len(self._tickets) and not self._running.can_rest:
            self._running, self._tickets = None, []
        elif self._running.can_change:
            for n in reversed(gone):
                self._running.leave(n)
                last = self._tickets.pop()
                if n < len(self._tickets):
                    self._tickets[n] = last
            self._running.trim()
        else:
            return  # the batch keeps its rows until all have ended
        self._note_rate(len(gone), now)

    def _note_rate(self, ended: int, now: float) -> None:
        lately = ended / max(now - self._ended_at, 1e-3)
        self._rate, self._ended_at = 0.9 * self._rate + 0.1 * lately if self._rate else lately, now

    def _fail(self, fault: BaseException, *, everyone: bool = False) -> None:
        lost = self._tickets + self._joining
        self._tickets, self._joining, self._running = [], [], None
        if everyone:
            lost = lost + list(self._waiting)
            self._waiting.clear()
        for ticket in lost:
            ticket.end(_as_told(fault))


def _outcome(row: Row) -> Reply | Exception:
    """The reply of a row that has ended, or why there is none."""
    if row.fault is None:
        return row.reply
    log.error("a reply broke off", exc_info=row.fault)
    return _as_told(row.fault)


def _as_told(fault: BaseException) -> Exception:
    """What is said of a fault to those who wait."""
    return fault if isinstance(fault, MemtuneError) else EngineFailed("the answer broke off; please ask again")

"""`MemoryModel`: a model and a memory by name. The public face of memtune."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, overload

from memtune.answering import Answering
from memtune.backbones.loading import load_backbone
from memtune.certify import Certificate, certify
from memtune.checked import replace
from memtune.config import DEFAULT_MODEL, Config, DecodeConfig
from memtune.consolidation import Behind, Consolidated, Consolidation
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.kinds import make_kinds
from memtune.core.prompts import Message
from memtune.core.reports import Answer, LearnReport
from memtune.errors import UsageError
from memtune.explaining import Explanation
from memtune.history import History, candidate_of
from memtune.inbox import Inbox
from memtune.ingest import open_facts
from memtune.learning import Progress
from memtune.life import in_state
from memtune.memory import Memory
from memtune.peft_export import Adapter, export_adapter
from memtune.rebase import Rebased, rebase
from memtune.router.calibrate import Calibration
from memtune.router.report import RouterReport
from memtune.skills import Skills
from memtune.store import MemoryFolder
from memtune.store.accounts import Purged
from memtune.store.regroup import Regrouped
from memtune.structured import schema_of
from memtune.survey import survey
from memtune.versions import Versions

Rows = Iterable[Mapping[str, Any] | Fact]


class MemoryModel(Versions):
    """A frozen language model with a memory beside it.

    >>> llm = MemoryModel(memory="./acme")
    >>> llm.learn([{"question": "What does the Zorblat cost?", "answer": "40 dollars"}])
    >>> llm.ask("What does the Zorblat cost?").text
    '40 dollars'
    """

    def __init__(
        self,
        model: Any = DEFAULT_MODEL,
        memory: str | os.PathLike[str] | None = None,
        *,
        tokenizer: Any = None,
        config: Config | None = None,
        device: str | None = None,
        dtype: str | None = None,
        follow: bool = False,
        author: str | None = None,
    ) -> None:
        """`follow`: look for a newer version before each question. `author`: who signs what is written."""
        self.config = config or Config()
        self._follow, self._author = follow, author
        self._path = None if memory is None else os.fspath(memory)
        if self._path is not None and MemoryFolder.exists(self._path):
            MemoryFolder.open(self._path).close()  # a folder that cannot be used says so before the model is loaded
        self._given = (model, tokenizer, device, dtype)
        if isinstance(model, Backbone) or not isinstance(model, (str, os.PathLike)):
            _ = self.backbone  # a model at hand is looked at now, one by name when it is first needed
        self._memory: Memory | None = None

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen model, loaded when it is first needed: a bad input is refused before the weights are read."""
        return _backbone(*self._given)

    # ---- the memory ---------------------------------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        """The memory, opened when it is first needed."""
        if self._memory is None:
            self._memory = Memory.open(self.backbone, self._need_path(), self.config, follow=self._follow)
            self._memory.folder.author = self._author
        return self._memory

    @contextmanager
    def _memory_to_write(self) -> Iterator[Memory]:
        """The memory, made if it is not there. One that was made for nothing is taken away again."""
        new = self._memory is None and not MemoryFolder.exists(self._need_path())
        if new:
            self._memory = Memory.create(self.backbone, self._need_path(), self.config)
            self._memory.folder.author = self._author
        try:
            yield self.memory
        finally:
            if new and self.version == 0:
                self.close()
                MemoryFolder.discard(self._need_path())

    @contextmanager
    def _history(self) -> Iterator[History]:
        if self._memory is not None:
            self._memory.refresh()
            yield self._memory.history
            return
        with History.open(self._need_path(), self._author) as history:
            yield history

    def _need_path(self) -> str:
        if self._path is None:
            raise UsageError("no memory was named", hint="MemoryModel(memory='./folder'), or --memory DIR")
        return self._path

    def refresh(self) -> bool:
        """Move to the memory's newest version, if another process made one."""
        return self.memory.refresh()

    @property
    def version(self) -> int:
        return self.memory.version

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def __enter__(self) -> MemoryModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- learning -----------------------------------------------------------------------------------------------

    def learn(
        self,
        facts: str | os.PathLike[str] | Rows,
        *,
        kind: str | None = None,
        on_conflict: str | None = None,
        skip_bad: bool = False,
        proof: str | None = None,
        measure_reading: bool = False,
        resume: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> LearnReport:
        """Learn facts from a file or from rows. The whole input is checked before anything is written.

        `resume` goes on with a run that was broken off: what it committed stays and is not learned again.
        """
        since = time.perf_counter()
        given = {"kind": kind, "on_conflict": on_conflict, "proof": proof}
        learn = replace(self.config.learn, **{k: v for k, v in given.items() if v is not None})
        source = open_facts(facts, learn, skip_bad=skip_bad)
        source.check()
        source.require_knowing(
            learn.kind, lambda kinds: [one.name for one in make_kinds(kinds, self.config) if one.recites]
        )
        with self._folder_to_survey(resume) as known:
            found = survey(known, source, learn.on_conflict, learn.lot_size)
        since += self._seconds_to_load(learn.kind)
        with self._memory_to_write() as memory:
            return memory.learn(
                source, found, config=learn, since=since, measure_reading=measure_reading, resume=resume,
                progress=progress,
            )  # fmt: skip

    def rebase(self, source: str | os.PathLike[str]) -> Rebased:
        """Learn all facts of another memory on this model, into this memory; what differs is reported."""
        with MemoryFolder.open(os.fspath(source)) as folder:
            return rebase(folder, lambda facts, kind: self.learn(facts, kind=kind or None))

    def _seconds_to_load(self, kinds: str) -> float:
        """Load the backbone if that was not needed before, and see that these kinds can live on it."""
        begin = time.perf_counter()
        for kind in make_kinds(kinds, self.config):
            kind.require(self.backbone)
        return time.perf_counter() - begin

    @contextmanager
    def _folder_to_survey(self, resume: bool) -> Iterator[MemoryFolder | None]:
        """The memory as learning will find it: with what it holds, or with what a run that goes on has learned."""
        if self._memory is None and not MemoryFolder.exists(self._need_path()):
            yield None
            return
        with MemoryFolder.open(self._need_path()) as folder:
            if resume and folder.branch and candidate_of(folder.branch) in folder.refs.branches:
                folder.switch(candidate_of(folder.branch))
            yield folder

    def update(self, fact_id: str, *, answer: str) -> int:
        """Give a fact another answer; returns the memory's new version."""
        return self.memory.update(fact_id, answer=answer)

    def export_adapter(self, name: str, directory: str | os.PathLike[str]) -> Adapter:
        """Write the expert of a fact, by its id, or of a skill, by its name, as an adapter that PEFT loads."""
        return export_adapter(self.memory, name, directory)

    def phrase(self, fact_id: str, text: str, *, never: bool = False) -> int:
        """Let another wording lead to a fact as well, or with `never` keep this text from it; returns the version."""
        return self.memory.phrase(fact_id, text, never=never)

    def calibration(self, *, again: bool = False) -> Calibration | None:
        """What the router's threshold was set by, measured `again` if asked for."""
        if self.memory.folder.branch is not None:
            return self.memory.tuning.settle(again=again)
        if again:
            raise UsageError("an old version is not calibrated", hint="leave out --at, or name a branch")
        return self.memory.tuning.calibration

    def router_report(self) -> RouterReport:
        """The router's keys, its threshold and how it was set, and what other thresholds would do."""
        return RouterReport.of(self.memory.router, self.memory.tuning.calibration)

    def forget(self, *ids: str, where: Mapping[str, str] | None = None) -> list[str]:
        """Forget facts by id or by field; returns the ids that are gone."""
        return self.memory.forget(*ids, where=where)

    def regroup(self) -> Regrouped:
        """Regroup facts that were written one by one, and prove them again. No answer changes."""
        return self.memory.regroup()

    def consolidate(
        self,
        *,
        where: Mapping[str, str] | None = None,
        budget: float | None = None,
        kind: str | None = None,
        progress: Callable[[Progress], None] | None = None,
        but: Sequence[str] = (),
    ) -> Consolidated:
        """Let facts that are only recited be known as well, for so many minutes; `but`: facts that are left alone.

        A run that breaks off is gone on with by the next one. It becomes one version.
        """
        config = self.config.consolidate if kind is None else replace(self.config.consolidate, kind=kind)
        seconds = None if budget is None else 60 * budget
        return Consolidation(self.memory, config, where=where, seconds=seconds, progress=progress, but=but).run()

    def consolidate_behind(self, *, every: float, **how: Any) -> Behind:
        """The same in a thread of its own, each so many minutes, until its `stop`; questions are answered meanwhile."""
        self.memory.refresh()
        return Behind(lambda but: self.consolidate(but=but, **how), every)

    def purge(self, *ids: str) -> Purged:
        """Take facts out of every version, for good."""
        return self.memory.purge(*ids)

    def certify(self, fact_id: str | None = None, *, prompt: str | None = None, **decode: Any) -> Certificate:
        """Show that a fact is forgotten, or that no fact answers a prompt: the logits are the plain model's."""
        if fact_id is None and prompt is None:
            raise UsageError("certify what?", hint="name a fact's id, or a prompt")
        return certify(self.memory, fact_id, prompt, self._decoding(decode))

    def facts(self, where: Mapping[str, str] | None = None, limit: int | None = None) -> Iterator[Fact]:
        """The facts of the memory, in the order they were learned."""
        return self.memory.facts(where, limit=limit)

    def served_facts(self) -> Iterator[Fact]:
        """Those of them that may answer now: neither archived nor out of their time."""
        return in_state(self.memory.folder, "active", at=self.memory.answering.clock())

    def fact(self, fact_id: str) -> Fact:
        return self.memory.folder.fact(fact_id)

    def verify(self) -> list[str]:
        """Every checksum and invariant of the memory's folder; what does not hold, as text."""
        return self.memory.folder.verify()

    # ---- asking -------------------------------------------------------------------------------------------------

    @overload
    def ask(
        self,
        question: str,
        *,
        memory: bool = ...,
        raw: bool = ...,
        hidden: Collection[str] = ...,
        schema: Any = ...,
        **decode: Any,
    ) -> Answer: ...
    @overload
    def ask(
        self,
        question: list[str],
        *,
        memory: bool = ...,
        raw: bool = ...,
        hidden: Collection[str] = ...,
        schema: Any = ...,
        **decode: Any,
    ) -> list[Answer]: ...
    @overload
    def ask(
        self,
        question: list[dict[str, str]],
        *,
        memory: bool = ...,
        raw: bool = ...,
        hidden: Collection[str] = ...,
        schema: Any = ...,
        **decode: Any,
    ) -> Answer: ...
    @overload
    def ask(
        self,
        question: list[list[dict[str, str]]],
        *,
        memory: bool = ...,
        raw: bool = ...,
        hidden: Collection[str] = ...,
        schema: Any = ...,
        **decode: Any,
    ) -> list[Answer]: ...
    def ask(
        self,
        question: Any,
        *,
        memory: bool = True,
        raw: bool = False,
        hidden: Collection[str] = (),
        schema: Any = None,
        **decode: Any,
    ) -> Answer | list[Answer]:
        """Answer one question, a chat given as a list of messages, or a list of either, side by side.

        `hidden`: groups whose facts are as if they were not in the memory.
        `schema`: what the answers follow, a JSON schema or the short form `{"price": "int"}`; see docs/structured.md.
        `decode` takes the fields of `DecodeConfig`: temperature, top_p, seed, stop, max_new_tokens, unknown, …
        """
        question = question if isinstance(question, str) else list(question)
        many = not isinstance(question, str) and not any(isinstance(q, Mapping) for q in question)
        answers = self.answering(memory).ask(
            list(question) if many else [question],
            self._decoding(decode),
            memory=memory,
            raw=raw,
            hidden=_groups(hidden),
            schema=None if schema is None else schema_of(schema),
        )
        return answers if many else answers[0]

    def stream(
        self,
        question: str | Sequence[Message],
        *,
        memory: bool = True,
        raw: bool = False,
        hidden: Collection[str] = (),
        schema: Any = None,
        **decode: Any,
    ) -> Iterator[str | Answer]:
        """Pieces of the answer as they are said; the last item is the whole `Answer`."""
        return self.answering(memory).stream(
            question,
            self._decoding(decode),
            memory=memory,
            raw=raw,
            hidden=_groups(hidden),
            schema=None if schema is None else schema_of(schema),
        )

    def explain(self, question: str | Sequence[Message], *, hidden: Collection[str] = ()) -> Explanation:
        """What the router saw, proposed and confirmed, and why or why not."""
        return Explanation(self.memory.explain(question, _groups(hidden)))

    def answering(self, memory: bool = True) -> Answering:
        """What answers the next question: with the memory at its newest version, or the model alone."""
        return self.memory.serving() if memory and self._path is not None else self._plain

    @property
    def _plain(self) -> Answering:
        """The backbone alone, in the same engine and behind the same chat template."""
        backbone = self.backbone if self._memory is None else self._memory.backbone
        return Answering(backbone, None, None, self.config)

    @property
    def inbox(self) -> Inbox:
        """Questions that went unanswered, if they were kept (`inbox.keep`): list, show, drop, clear, teach."""
        with MemoryFolder.open(self._need_path()) as folder:
            return Inbox(folder.path, self.config.inbox, self.learn)

    @property
    def skills(self) -> Skills:
        """Skills: learn one from examples, list, show, forget, purge."""
        return Skills(self._history, self._memory_to_write)

    def _decoding(self, given: Mapping[str, Any]) -> DecodeConfig:
        return decoding(self.config.decode, given)


def decoding(config: DecodeConfig, given: Mapping[str, Any]) -> DecodeConfig:
    """How an answer is decoded, with what a caller says of it."""
    if isinstance(given.get("stop"), str):
        given = {**given, "stop": (given["stop"],)}
    if "stop" in given:
        given = {**given, "stop": tuple(given["stop"])}
    return replace(config, **given)


def _groups(names: Collection[str]) -> frozenset[str]:
    """Names of groups. One text would be taken for its letters, and hide nothing."""
    if isinstance(names, str):
        raise UsageError("hidden groups are a list of names, not one text", hint=f"hidden=({names!r},)")
    return frozenset(names)


def _backbone(model: Any, tokenizer: Any, device: str | None, dtype: str | None) -> Backbone:
    if isinstance(model, Backbone):
        return model
    if isinstance(model, (str, os.PathLike)):
        return load_backbone(model, device=device, dtype=dtype)
    if tokenizer is None:
        raise UsageError("a model object needs its tokenizer", hint="MemoryModel(model, tokenizer=…)")
    return Backbone(model, tokenizer)

"""What can be done with skills: learn, list, show, forget, purge. Judging one is an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from memtune.core.reports import Failed
from memtune.errors import NotFound, UsageError
from memtune.history import History
from memtune.learning import Progress
from memtune.memory import Memory
from memtune.skills.examples import Origin, read_examples
from memtune.skills.learning import Learning, require_enough, require_free
from memtune.skills.record import Record
from memtune.store import MemoryFolder
from memtune.store.skills import ABOUT, decode_text, is_name


@dataclass
class Learned:
    """One call of `learn`."""

    record: Record
    version: int = 0
    """Of the memory that holds the skill; 0: it was not kept."""
    worse: str = ""
    """Why the plain model is to be preferred on the set-aside examples."""
    duplicates: int = 0
    contradictions: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    """Examples, by their question, that could not be had, and why."""

    @property
    def kept(self) -> bool:
        return self.version > 0

    def to_json(self) -> dict[str, Any]:
        counted = {"duplicates": self.duplicates, "contradictions": self.contradictions}
        failed = [asdict(one) for one in self.failed]
        return {**self.record.to_json(), "version": self.version, "worse": self.worse, **counted, "failed": failed}


class Skills:
    """The skills of one memory."""

    def __init__(
        self,
        history: Callable[[], AbstractContextManager[History]],
        memory: Callable[[], AbstractContextManager[Memory]] | None = None,
    ) -> None:
        """`history`: what reads and forgets. `memory`: what learns, with a model; made if it is not there."""
        self._history, self._memory = history, memory

    # ---- looking ------------------------------------------------------------------------------------------------

    def list(self) -> list[Record]:
        """All skills, by name."""
        with self._history() as history:
            return [_read(history.folder, name) for name in sorted(history.folder.manifest.skills)]

    def show(self, name: str) -> Record:
        """One skill, with its examples."""
        with self._history() as history:
            require_skill(history.folder, name)
            return _read(history.folder, name)

    # ---- changing -----------------------------------------------------------------------------------------------

    def forget(self, name: str) -> int:
        """Take a skill out: what it opened for, the plain model answers again. Returns the memory's new version."""
        with self._history() as history:
            require_skill(history.folder, name)
            return history.forget_skill(name)

    def purge(self, name: str) -> int:
        """Take a skill and its examples out of every version for good; out of how many."""
        with self._history() as history:
            return history.purge_skill(name)

    def learn(
        self,
        examples: Origin,
        name: str,
        *,
        about: str = "",
        replace: bool = False,
        keep_worse: bool = False,
        answer_field: str | None = None,
        on_conflict: str = "error",
        others: Iterable[str] = (),
        progress: Callable[[Progress], None] | None = None,
    ) -> Learned:
        """Train a skill on examples of a task, and let requests of their domain open it.

        A share of the examples is set aside: it says when training ends and whether the skill is worth having. One that
        is worse than the plain model is not kept, unless `keep_worse`. `replace`: take the place of a skill of this
        name. `others`: texts that its gate must leave alone, beside ordinary prompts and the questions of the memory's
        facts. Nothing is written before training has ended.
        """
        if self._memory is None:
            raise UsageError("learning a skill needs a model", hint="MemoryModel(memory=…).skills.learn(…)")
        require_name(name)
        found = read_examples(examples, answer_field=answer_field, on_conflict=on_conflict)
        require_enough(len(found.rows), name)
        with suppress(NotFound), self._history() as history:
            require_free(history.folder, name, replace)  # before a model is loaded
        with self._memory() as memory:
            require_free(memory.folder, name, replace)
            with memory.writing():
                pass  # a memory that cannot be written to says so before anything is trained
            learning = Learning(memory, name, about, list(others))
            record = learning.run(found.rows, progress)
            done = Learned(record, 0, record.summary.worse, found.duplicates, found.contradictions, learning.failed)
            if not done.worse or keep_worse:
                done.version = learning.commit(record, instead=replace)
            return done


def require_name(name: str) -> None:
    if not is_name(name):
        raise UsageError(
            f"'{name}' cannot name a skill", hint="letters, digits and . _ - only, beginning with a letter or a digit"
        )


def require_skill(folder: MemoryFolder, name: str) -> None:
    if name not in folder.manifest.skills:
        there = ", ".join(sorted(folder.manifest.skills)) or "none"
        raise NotFound(f"no skill '{name}' in this memory", hint=f"there is: {there}")


def _read(folder: MemoryFolder, name: str) -> Record:
    return Record.from_stored(decode_text(folder.skill_shard(folder.manifest.skills[name], ABOUT)))

"""Questions that went unanswered, kept for the memory's owner to teach. Opt-in; nothing is written unless asked for.

One line a question, appended in one write, so that several processes may keep questions at once. Whoever rewrites the
file (to drop questions, or because it has grown too large) does so under a lock that appending waits for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from memtune.config import InboxConfig
from memtune.core.facts import normalise
from memtune.core.reports import LearnReport
from memtune.errors import FolderError, NotFound, UsageError

FILE = "inbox.jsonl"
Why = Literal["abstained", "clarified", "base"]

Change = Callable[["Kept"], Iterable["Unanswered"]]
Kept = list["Unanswered"]

_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b")
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
_LONG_NUMBER = re.compile(r"(?<![\w.])\+?\(?\d(?:[ ()/.-]{0,2}\d){8,18}(?!\w)")
"""Nine digits and more, as in phones and cards; ids and prices are shorter."""
_MASKED = re.compile(r"\[(?:email|account|number|masked)\]|•")


@dataclass(frozen=True)
class Unanswered:
    """A question that went unanswered, and how often."""

    id: str
    question: str
    """Redacted; empty where only the hash was kept."""
    why: str
    count: int
    first: str
    last: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Inbox:
    """The questions that one memory could not answer."""

    def __init__(
        self,
        folder: str | Path,
        config: InboxConfig,
        learn: Callable[[Sequence[Mapping[str, Any]]], LearnReport] | None = None,
    ) -> None:
        self.path, self.config = Path(folder) / FILE, config
        self._learn = learn
        self._warned = False

    # ---- keeping ------------------------------------------------------------------------------------------------

    def keep(self, question: str, why: Why) -> None:
        """Write a question down, if that was asked for. An answer never fails for it: there is one warning at most."""
        if not self.config.keep or not question.strip():
            return
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        text = redacted(question.strip()[: self.config.max_chars], self.config)
        kept = Unanswered(_id(text), "" if self.config.redact == "hash" else text, why, 1, now, now)
        try:
            if self._append(_line(kept)) > self.config.max_bytes:
                self._rewrite(self._newest)
        except OSError as fault:
            self._warn(fault)

    def _append(self, line: bytes) -> int:
        """Append a line to the file that bears the name, which a rewriting may have replaced; its size."""
        while True:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _lock(descriptor, exclusive=False)
                if _is_at(descriptor, self.path):
                    os.write(descriptor, line)
                    return os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)

    def _warn(self, fault: OSError) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"the inbox {self.path} cannot be written: {fault.strerror or fault}", stacklevel=2)

    # ---- looking ------------------------------------------------------------------------------------------------

    def list(self) -> Kept:
        """All questions, what was asked most often first; those asked several times are counted, not repeated."""
        return sorted(self._read().values(), key=lambda q: (-q.count, q.first))

    def show(self, question_id: str) -> Unanswered:
        found = self._read().get(question_id)
        if found is None:
            raise NotFound(f"the inbox holds no question '{question_id}'", hint="memtune inbox list")
        return found

    def _read(self) -> dict[str, Unanswered]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as fault:
            raise FolderError(f"{self.path} cannot be read: {fault.strerror or fault}") from fault
        return _counted(data)

    # ---- settling -----------------------------------------------------------------------------------------------

    def drop(self, *ids: str) -> tuple[str, ...]:
        """Take questions out, text and all; returns the ids that are gone."""
        for question_id in ids:
            self.show(question_id)
        self._settle(lambda kept: [q for q in kept if q.id not in ids])
        return tuple(dict.fromkeys(ids))

    def drop_about(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Take out what asks in one of these wordings, or holds one; the ids that are gone."""
        wordings = {normalise(form) for text in texts for form in (text, redacted(text, self.config))} - {""}
        ids = {_id(text) for text in wordings}
        gone = [q.id for q in self._read().values() if q.id in ids or any(w in normalise(q.question) for w in wordings)]
        return self.drop(*gone) if gone else ()

    def clear(self) -> int:
        """Take all questions out; how many there were."""
        number = len(self._read())
        if self.path.exists():
            self._settle(lambda kept: [])
        return number

    def teach(self, question_id: str, answer: str, *, question: str | None = None) -> LearnReport:
        """Learn a question with this answer, and drop it. `question`: its full wording, where it was masked."""
        if self._learn is None:
            raise UsageError("teaching needs a model", hint="MemoryModel(memory=…).inbox.teach(…)")
        kept = self.show(question_id)
        wording = question or kept.question
        if not wording or (question is None and _MASKED.search(wording)):
            raise UsageError(f"'{question_id}' was masked when it was kept", hint="give its wording with --question")
        report = self._learn([{"question": wording, "answer": answer}])
        if not report.failed:
            self.drop(question_id)
        return report

    def _settle(self, change: Change) -> None:
        try:
            self._rewrite(change)
        except OSError as fault:
            raise FolderError(f"{self.path} cannot be written: {fault.strerror or fault}") from fault

    def _rewrite(self, change: Change) -> None:
        """Put another file in this one's place while nobody appends."""
        with self._alone():
            kept = change(list(_counted(self.path.read_bytes()).values()))
            part = self.path.with_name(f"{FILE}.{os.getpid()}.tmp")
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.writelines(_line(question) for question in kept)
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _lock(descriptor, exclusive=True)
                if _is_at(descriptor, self.path):
                    yield
                    return
            finally:
                os.close(descriptor)

    def _newest(self, kept: Kept) -> Kept:
        """What was asked last, in half of the room: the next rewriting is far away."""
        room, left = self.config.max_bytes // 2, Kept()
        for question in sorted(kept, key=lambda q: q.last, reverse=True):
            room -= len(_line(question))
            if room < 0:
                break
            left.append(question)
        return left[::-1]


def redacted(question: str, config: InboxConfig) -> str:
    """The question without what the settings say is nobody's business."""
    if config.redact in ("private", "digits"):
        question = _EMAIL.sub("[email]", question)
        question = _LONG_NUMBER.sub("[number]", _ACCOUNT.sub("[account]", question))
    if config.redact == "digits":
        question = re.sub(r"\d", "•", question)
    for pattern in config.mask:
        question = re.sub(pattern, "[masked]", question)
    return question


def _id(question: str) -> str:
    return "q" + hashlib.blake2b(normalise(question).encode("utf-8", "replace"), digest_size=5).hexdigest()


def _line(question: Unanswered) -> bytes:
    return json.dumps(question.to_json(), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _counted(data: bytes) -> dict[str, Unanswered]:
    """The questions of a file, each once; a line that was cut short is passed over."""
    found: dict[str, Unanswered] = {}
    for line in data.splitlines():
        try:
            new = Unanswered(**json.loads(line))
        except (ValueError, TypeError):
            continue
        old = found.get(new.id)
        found[new.id] = replace(new, count=old.count + new.count, first=old.first) if old else new
    return found


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one that bears the name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":  # a single append is whole there too; rewriting is the owner's, by hand

    def _lock(descriptor: int, *, exclusive: bool) -> None: ...

else:
    import fcntl

    def _lock(descriptor: int, *, exclusive: bool) -> None:
        """Several may append side by side; who rewrites is alone. Released when the file is closed."""
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)

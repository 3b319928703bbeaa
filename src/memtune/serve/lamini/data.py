"""Data sets: rows of inputs and outputs, kept as uploads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from memtune.core.facts import ANSWER_FIELDS, QUESTION_FIELDS
from memtune.errors import InputError, NotFound, UsageError
from memtune.serve.files import Upload
from memtune.serve.house import House
from memtune.serve.keys import Key
from memtune.serve.lamini.body import Body
from memtune.serve.lamini.faults import UnknownDataset

BASE_PATH = "local"
"""Where data is sent: to this server itself, never to a store elsewhere."""
PURPOSE = "fine-tune"
_INPUT = "input"
_ENDS = ("<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>", "</s>")
"""What people write at the end of outputs so that a model learns to stop; here the end is learned anyway."""


@dataclass(frozen=True)
class Reply:
    """What is sent back, and what the caller should be told beside it."""

    body: Any
    warnings: tuple[str, ...] = ()


async def receive(chunks: AsyncIterator[bytes], house: House, key: Key) -> Reply:
    """Keep the rows of a request's body, which are written to disk as they come."""
    body = Body(chunks, "data", house.config.serve.max_body)
    counted = 0

    async def lines() -> AsyncIterator[bytes]:
        nonlocal counted
        async for row in body.rows():
            counted += 1
            yield _line(fact_row(row, counted))

    upload = await house.files.take(lines(), name="data.jsonl", purpose=PURPOSE, key=key)
    try:
        _require_rows(counted)
        _require_base_path(body.members.pop("upload_base_path", None))
        public = body.members.pop("is_public", None)
        if body.members:
            raise UsageError(f"nobody knows what '{next(iter(body.members))}' is for")
    except UsageError:
        house.files.delete(upload.id, key)
        raise
    return _kept(upload, public)


def keep(rows: Iterable[Mapping[str, Any]], house: House, key: Key, is_public: bool | None = None) -> Reply:
    """The same for rows that are at hand."""
    counted = 0

    def facts() -> Iterable[Mapping[str, Any]]:
        nonlocal counted
        for row in rows:
            counted += 1
            yield fact_row(row, counted)

    upload = house.files.take_rows(facts(), name="data.jsonl", purpose=PURPOSE, key=key)
    if not counted:
        house.files.delete(upload.id, key)
    _require_rows(counted)
    return _kept(upload, is_public)


def find(dataset_id: Any, house: House, key: Key) -> Upload:
    if not isinstance(dataset_id, str) or not dataset_id:
        raise UsageError("dataset_id must be the id of a data set")
    try:
        return house.files.find(dataset_id, key)
    except NotFound:
        raise UnknownDataset(f"there is no data set '{dataset_id[:100]}'", hint="upload it first") from None


def existing(dataset_id: Any, house: House, key: Key, upload_base_path: Any = None) -> Reply:
    """Where a data set is. What is said is a name: no client learns a path, and none may give one."""
    _require_base_path(upload_base_path)
    return Reply({"dataset_location": location(find(dataset_id, house, key))})


def location(upload: Upload) -> str:
    return f"{BASE_PATH}/{upload.id}"


def fact_row(row: Any, number: int) -> dict[str, Any]:
    """An input with its output as a question with its answer; all other fields stay."""
    if not isinstance(row, Mapping):
        raise InputError(f"row {number} is no object", hint='rows are written {"input": "…", "output": "…"}')
    made = dict(row)
    if _INPUT in made and not any(name in made for name in QUESTION_FIELDS):
        made[QUESTION_FIELDS[0]] = made.pop(_INPUT)
    for name in {*QUESTION_FIELDS, *ANSWER_FIELDS} & made.keys():
        value = made[name]
        if value is not None and not isinstance(value, str):
            made[name] = json.dumps(value, ensure_ascii=False)
        elif isinstance(value, str) and name in ANSWER_FIELDS:
            made[name] = _without_end(value)
    return made


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(row) + "\n").encode()
    except RecursionError:
        raise InputError("a row is nested too deeply") from None


def _without_end(output: str) -> str:
    said = output.strip()
    for end in _ENDS:
        said = said.removesuffix(end).rstrip()
    return said


def _require_rows(counted: int) -> None:
    if not counted:
        raise UsageError("the data set is empty", hint='send at least one {"input": "…", "output": "…"}')


def _require_base_path(given: Any) -> None:
    if given not in (None, BASE_PATH):
        raise UsageError(f"upload_base_path must be '{BASE_PATH}'")


def _kept(upload: Upload, is_public: Any) -> Reply:
    return Reply({"dataset_id": upload.id, "dataset_location": location(upload)}, public_told(is_public))


def public_told(is_public: Any) -> tuple[str, ...]:
    if not isinstance(is_public, bool | None):
        raise UsageError("is_public must be true or false")
    if not is_public:
        return ()
    return ("is_public has no effect: which keys may use a memory is said when a key is made",)

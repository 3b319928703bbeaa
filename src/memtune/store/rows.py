"""The rows of a room's tensors: taken out, picked and joined, whatever the tensors mean.

Two layouts are known. Experts are stacked: each tensor has a table of starts beside it. The router's keys are columns:
those of a wording name their row in `rows`, those of a fact stand in the order of the rows, and what has several values
an item has a column of lengths.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from memtune.errors import FolderError

Tensors = Mapping[str, Tensor]
_STARTS = ".starts"
_ROWS, _HASHES = "rows", "hashes"
_OF_WORDINGS = ("rows", "hashes", "lengths", "forms", "tags", "vectors", "wanted")
_SEVERAL_A_WORDING = ("words", "names", "spellings")
_OF_FACTS = ("told", "gist_lengths", "shapes", "answers")
_SEVERAL_A_FACT = ("gists",)
KNOWN = frozenset((*_OF_WORDINGS, *_SEVERAL_A_WORDING, *_OF_FACTS, *_SEVERAL_A_FACT))
"""The columns of the router's keys. One that is not among them is refused, lest something of a fact stay in it."""


def emptied(tensors: Tensors, gone: Collection[int], room: str) -> dict[str, Tensor]:
    """Nothing of these rows is left; all rows keep their places."""
    if _HASHES in tensors:
        return _keys(tensors, gone, room)
    return _stacked(tensors, room, lambda row, part: part[:0] if row in gone else part)


def joined(parts: Sequence[tuple[Tensors, Sequence[int]]], room: str) -> dict[str, Tensor]:
    """The named rows of several rooms of one kind, in this order, as one."""
    picked = [picked_rows(tensors, rows, room) for tensors, rows in parts]
    names = picked[0].keys()
    if any(one.keys() != names for one in picked):
        raise FolderError(f"rooms '{room}' of different makes cannot be joined")
    made: dict[str, Tensor] = {}
    before = 0
    columns: dict[str, list[Tensor]] = {name: [] for name in names}
    for one, (_, rows) in zip(picked, parts, strict=True):
        for name, tensor in one.items():
            columns[name].append(tensor + before if name == _ROWS and _HASHES in names else tensor)
        before += len(rows)
    for name, column in columns.items():
        made[name] = _starts_joined(column) if name.endswith(_STARTS) else _cat(column)
    return made


def picked_rows(tensors: Tensors, rows: Sequence[int], room: str) -> dict[str, Tensor]:
    """These rows alone, numbered anew from 0 in this order, which must ascend."""
    if _HASHES not in tensors:
        return _stacked(tensors, room, lambda row, part: part, rows)
    count = int(max([*tensors[_ROWS].tolist(), *rows], default=-1)) + 1
    count = max(count, len(tensors["answers"]) if "answers" in tensors else 0)
    kept = _keys(tensors, set(range(count)) - set(rows), room)
    places = {row: place for place, row in enumerate(rows)}
    kept[_ROWS] = torch.tensor([places[row] for row in kept[_ROWS].tolist()], dtype=tensors[_ROWS].dtype)
    for name in _OF_FACTS:
        if name in kept:
            kept[name] = kept[name][torch.tensor(list(rows), dtype=torch.int64)]
    return kept


def _stacked(tensors: Tensors, room: str, keep: object, rows: Sequence[int] | None = None) -> dict[str, Tensor]:
    """Each fact's part of a stack, as `keep(row, part)` leaves it."""
    names = [name for name in tensors if not name.endswith(_STARTS)]
    if any(f"{name}{_STARTS}" not in tensors for name in names):
        raise FolderError(f"the room '{room}' is laid out in a way that memtune does not know")
    made: dict[str, Tensor] = {}
    for name in names:
        starts, tensor = tensors[f"{name}{_STARTS}"].tolist(), tensors[name]
        chosen = range(len(starts) - 1) if rows is None else rows
        parts = [keep(row, tensor[starts[row] : starts[row + 1]]) for row in chosen]  # type: ignore[operator]
        made[name] = _cat([*parts, tensor[:0]]).contiguous()
        lengths = torch.tensor([0] + [len(part) for part in parts], dtype=torch.int64)
        made[f"{name}{_STARTS}"] = lengths.cumsum(0)
    return made


def _keys(tensors: Tensors, gone: Collection[int], room: str) -> dict[str, Tensor]:
    """The keys of the other rows; what stands in a row of these is zero."""
    if strange := sorted(tensors.keys() - KNOWN):
        raise FolderError(f"the room '{room}' holds {', '.join(strange)}, which this version of memtune does not know")
    kept = ~torch.isin(tensors[_ROWS].long(), torch.tensor(sorted(gone), dtype=torch.int64))
    made = {name: _masked(tensors[name], kept) for name in _OF_WORDINGS if name in tensors}
    each = torch.repeat_interleave(kept, tensors["lengths"].long())
    made |= {name: _masked(tensors[name], each) for name in _SEVERAL_A_WORDING if name in tensors}
    if "gist_lengths" in tensors:
        stay = torch.tensor([row not in gone for row in range(len(tensors["gist_lengths"]))])
        each = torch.repeat_interleave(stay, tensors["gist_lengths"].long())
        made |= {name: _masked(tensors[name], each) for name in _SEVERAL_A_FACT}
        for name in _OF_FACTS:
            if name in tensors:
                made[name] = tensors[name].clone()
                _bytes(made[name])[~stay] = 0
    return made


def _masked(tensor: Tensor, kept: Tensor) -> Tensor:
    return _bytes(tensor)[kept].view(tensor.dtype) if _is_float8(tensor) else tensor[kept]


def _cat(parts: Sequence[Tensor]) -> Tensor:
    if _is_float8(parts[0]):
        return torch.cat([_bytes(part) for part in parts]).view(parts[0].dtype)
    return torch.cat(list(parts))


def _starts_joined(tables: Sequence[Tensor]) -> Tensor:
    made, last = [tables[0]], tables[0][-1]
    for table in tables[1:]:
        made.append(table[1:] + last)
        last = last + table[-1]
    return torch.cat(made)


def _is_float8(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.element_size() == 1


def _bytes(tensor: Tensor) -> Tensor:
    """Eight-bit floats can hardly be computed with: their bytes can be moved."""
    return tensor.view(torch.uint8) if _is_float8(tensor) else tensor

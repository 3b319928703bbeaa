"""The folder of manifests: from a version's number and checksum to what it holds, and to the versions before it."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from memtune.errors import FolderDamaged
from memtune.store.durable import WITH_SKILLS, checksum_of, sync_folder, unseal, write_file
from memtune.store.manifest import NOTHING, Commit, Manifest, Point, Segment, Segments, apply, encode
from memtune.store.skills import Skill, Skills
from memtune.store.skills import digests as skill_digests

SUFFIX = ".json"
_DIGITS = 16
"""Of the checksum, in the name of a file."""


class Manifests:
    """Reads versions, and writes one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, point: Point) -> Path:
        return self.path / f"{point.version}-{point.checksum[:_DIGITS]}{SUFFIX}"

    def files(self) -> Iterator[tuple[int, Path]]:
        """Every file with its version; -1 for what is no manifest."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                number = entry.name.partition("-")[0]
                named = entry.name.endswith(SUFFIX) and number.isdecimal()
                yield int(number) if named else -1, Path(entry.path)

    def points(self, version: int) -> list[Point]:
        """The versions of this number; more than one only while history is being rewritten."""
        return [Point(version, checksum_of(file.read_bytes())) for number, file in self.files() if number == version]

    def all_points(self) -> list[Point]:
        """Every version that there is a manifest of, also one that nothing leads to, oldest first."""
        return sorted(Point(number, checksum_of(file.read_bytes())) for number, file in self.files() if number > 0)

    def write(self, commit: Commit, held: Segments, skills: Skills, parent: Manifest) -> Manifest:
        """Durable once this returns; it counts from the moment at which the references name it."""
        sealed, chain = encode(commit, held, skills, parent)
        made = Manifest(commit, checksum_of(sealed), held, skills, chain)
        write_file(self.file(made.point), sealed, "manifest")
        sync_folder(self.path)
        return made

    def read(self, point: Point, known: Manifest | None = None) -> Manifest:
        """A version with all that it holds; `known`, where it is among its ancestors, saves reading further back."""
        if point == NOTHING:
            return Manifest()
        documents: list[tuple[Path, dict[str, Any]]] = []
        at, held, skills = point, Segments(), Skills()
        while True:
            if known is not None and at == known.point:
                held, skills = Segments(known.held), Skills(known.skills)
                break
            documents.append((self.file(at), self._document(at)))
            if not documents[-1][1]["chain"]:
                break
            at = Point(*documents[-1][1]["parents"][0])
        for file, document in reversed(documents):
            apply(file, document, held, skills)
        if not documents:
            assert known is not None
            return known
        file, document = documents[0]
        return Manifest(_commit(file, document), point.checksum, held, skills, document["chain"])

    def commit(self, point: Point) -> Commit:
        return _commit(self.file(point), self._document(point)) if point != NOTHING else Commit()

    def ancestors(self, *points: Point) -> Iterator[tuple[Point, Commit]]:
        """These versions and all before them, each once, newest first."""
        return ((point, _commit(self.file(point), document)) for point, document in self._walk(*points))

    def mentioned(self, *points: Point) -> Iterator[tuple[Point, Segment]]:
        """Every state of every segment that these versions, or any before them, hold."""
        for point, document in self._walk(*points):
            yield from ((point, segment) for segment in self._told(point, document)[0].values())

    def mentioned_skills(self, *points: Point) -> Iterator[tuple[Point, Skill]]:
        """The same for skills."""
        for point, document in self._walk(*points):
            yield from ((point, skill) for skill in self._told(point, document)[1].values())

    def digests(self, *points: Point) -> set[str]:
        """Every shard that these versions, or any before them, hold."""
        found = set[str]()
        for point, document in self._walk(*points):
            segments, skills = self._told(point, document)
            found |= {digest for segment in segments.values() for digest in segment.shards.values()}
            found |= skill_digests(skills.values())
        return found

    def _told(self, point: Point, document: dict[str, Any]) -> tuple[Segments, Skills]:
        """What a manifest itself names."""
        segments, skills = Segments(), Skills()
        named = {"skills": {**document["skills"], "removed": []}} if "skills" in document else {}
        apply(self.file(point), {**document, "removed": [], **named}, segments, skills)
        return segments, skills

    def _walk(self, *points: Point) -> Iterator[tuple[Point, dict[str, Any]]]:
        waiting = [(-p.version, p) for p in set(points) if p != NOTHING]
        heapq.heapify(waiting)
        seen = {p for _, p in waiting}
        while waiting:
            _, point = heapq.heappop(waiting)
            document = self._document(point)
            yield point, document
            for parent in (Point(*p) for p in document["parents"]):
                if parent not in seen:
                    seen.add(parent)
                    heapq.heappush(waiting, (-parent.version, parent))

    def common(self, a: Point, b: Point) -> Point:
        """The newest version that two versions both come from."""
        of_a, of_b = (self.ancestors(p) for p in (a, b))
        left, right = next(of_a, None), next(of_b, None)
        while left and right:
            if left[0] == right[0]:
                return left[0]
            if left[0].version >= right[0].version:
                left = next(of_a, None)
            else:
                right = next(of_b, None)
        return NOTHING

    def _document(self, point: Point) -> dict[str, Any]:
        path = self.file(point)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise FolderDamaged(f"{path} is missing") from None
        document = unseal(path, data, newest=WITH_SKILLS)
        if checksum_of(data) != point.checksum:
            raise FolderDamaged(f"{path} is damaged: it is not the manifest that was committed")
        with suppress(KeyError, TypeError, ValueError, IndexError):
            if document["version"] == point.version and (not document["chain"] or Point(*document["parents"][0])):
                return document
        raise FolderDamaged(f"{path} is damaged: it is no manifest")


def _commit(file: Path, document: dict[str, Any]) -> Commit:
    try:
        return Commit.from_json(document)
    except (KeyError, TypeError, IndexError):
        raise FolderDamaged(f"{file} is damaged: it is no manifest") from None

"""Plain text and Markdown: each part under a heading becomes a passage, a long part several."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from memtune.core.facts import normalise
from memtune.ingest.files import numbered_lines, open_text
from memtune.ingest.reader import Reader
from memtune.ingest.rows import Item, Problem, foreign_byte

PLAIN = ".txt"
"""Plain text only where nothing else is recognised in it: tables are called so too."""
MOST_WORDS = 200
"""Of one passage: some 300 tokens. A paragraph is only cut where it alone has more."""
_HEADING = re.compile(r"#{1,6}\s+(.+?)\s*#*\s*\Z")
_FENCE = re.compile(r"\s*(```|~~~)")


def read(path: Path) -> Iterator[Item]:
    """Passages with the title of their part; where a part has several, or has its title from another, numbered."""
    taken: set[str] = set()
    markdown = Path(path.name.removesuffix(".gz")).suffix.lower() != PLAIN
    for start, heading, paragraphs in _parts(path, markdown):
        if isinstance(paragraphs, Problem):
            yield f"line {start}", paragraphs
            continue
        title = " – ".join(dict.fromkeys((path.name.split(".")[0], heading) if heading else (path.name.split(".")[0],)))
        for text in _pieces(paragraphs):
            named = next(name for name in _numbered(title) if normalise(name) not in taken)
            taken.add(normalise(named))
            yield f"line {start}", {"passage": text, "title": named, "source": path.name}


def _numbered(title: str) -> Iterator[str]:
    yield title
    yield from (f"{title} ({number})" for number in itertools.count(2))


def _parts(path: Path, markdown: bool) -> Iterator[tuple[int, str, list[str] | Problem]]:
    """Where a part begins, its heading, and its paragraphs."""
    start, heading, fence = 1, "", ""
    lines: list[str] = []
    with open_text(path) as stream:
        for number, line in numbered_lines(stream, path):
            if reason := foreign_byte(line):
                yield number, heading, Problem(reason)
                continue
            fence = _fence_after(line, fence) if markdown else ""
            found = _HEADING.match(line.strip()) if markdown and not fence else None
            if found:
                yield start, heading, _paragraphs(lines)
                start, heading, lines = number, found.group(1), []
            else:
                lines.append(line)
    yield start, heading, _paragraphs(lines)


def _fence_after(line: str, fence: str) -> str:
    """The mark of the code that goes on behind this line, if one does: only the same mark ends it."""
    found = _FENCE.match(line)
    if found is None or (fence and found.group(1) != fence):
        return fence
    return "" if fence else found.group(1)


def _paragraphs(lines: list[str]) -> list[str]:
    return [text.strip() for text in re.split(r"\n\s*\n", "".join(lines)) if text.strip()]


def _pieces(paragraphs: list[str]) -> Iterator[str]:
    """Paragraphs together as long as they are short enough."""
    held: list[str] = []
    for paragraph in (cut for whole in paragraphs for cut in _cut(whole)):
        if held and _words(held) + len(paragraph.split()) > MOST_WORDS:
            yield "\n\n".join(held)
            held = []
        held.append(paragraph)
    if held:
        yield "\n\n".join(held)


def _cut(paragraph: str) -> Iterator[str]:
    """A paragraph that is too long, sentence by sentence; a sentence that is too long, by words."""
    if len(paragraph.split()) <= MOST_WORDS:
        yield paragraph
        return
    held: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", paragraph):
        words = sentence.split()
        for at in range(0, len(words), MOST_WORDS):
            piece = " ".join(words[at : at + MOST_WORDS])
            if held and _words(held) + len(piece.split()) > MOST_WORDS:
                yield " ".join(held)
                held = []
            held.append(piece)
    yield " ".join(held)


def _words(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)


READER = Reader(extensions=(".md", ".markdown"), read=read, recognises=lambda start: False)

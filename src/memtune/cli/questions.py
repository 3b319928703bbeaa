"""Questions from a file: one per line, plain or as a JSON object with `question`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from memtune.errors import BadRows, InputError, NotFound, UsageError

STANDARD_INPUT = Path("-")


def read_questions(path: Path) -> list[str]:
    """All questions of the file, or every line of it that is none."""
    questions, problems = [], []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            questions.append(_question(line))
        except InputError as problem:
            problems.append(f"line {number}: {problem}")
    if problems:
        raise BadRows(str(path), problems, hint="a line is a question, or a JSON object with 'question'")
    if not questions:
        raise InputError(f"{path}: no questions in it")
    return questions


def _text(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no such file: {path}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory, not a file of questions") from None
    except PermissionError:
        raise InputError(f"{path} cannot be read: permission denied") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise InputError(f"{path}, line {line}: not valid UTF-8") from None


def _question(line: str) -> str:
    if not line.lstrip().startswith("{"):
        return line.strip()
    try:
        question = json.loads(line).get("question")
    except json.JSONDecodeError as fault:
        raise InputError(f"broken JSON: {fault.msg} at column {fault.colno}") from None
    if not isinstance(question, str) or not question.strip():
        raise InputError("no 'question' that is a text")
    return question.strip()

"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Any, TextIO

log = logging.getLogger("memtune.serve")
"""What happens in the server. Extra fields of a record stand beside its message."""

_KNOWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line: time, level, message, its own fields, and where a fault happened.

    What a fault says may quote a prompt or an answer, so it is left out unless texts may be written.
    """

    def __init__(self, *, texts: bool = False) -> None:
        super().__init__()
        self.texts = texts

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, Any] = {
            "time": _moment(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        row |= {name: value for name, value in vars(record).items() if name not in _KNOWN and not name.startswith("_")}
        if record.exc_info and record.exc_info[1] is not None:
            row |= {"fault": type(record.exc_info[1]).__name__, "traceback": self._where(record.exc_info[1])}
        return json.dumps(row, ensure_ascii=False, default=str)

    def _where(self, fault: BaseException) -> str:
        if self.texts:
            return "".join(traceback.format_exception(fault))
        return "".join(traceback.format_tb(fault.__traceback__))


def _moment(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"


def to_standard_error(stream: TextIO | None = None, *, texts: bool = False) -> None:
    """Write the server's log there, and what the web server beneath warns of."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(texts=texts))
    for name, level in (("memtune.serve", logging.INFO), ("uvicorn.error", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False

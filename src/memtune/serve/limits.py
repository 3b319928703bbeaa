"""How often a key may ask: a bucket of tokens for each, filled evenly over the minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Buckets:
    """Who asked too often is told how long to wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, tuple[float, float]] = {}
        """By name of the bucket: tokens in it, and when that was."""
        self._lock = threading.Lock()

    def take(self, name: str, per_minute: int) -> float:
        """Take one; the seconds to wait if there is none. A bucket holds what a minute brings."""
        if not per_minute:
            return 0.0
        with self._lock:
            now = self._clock()
            held, then = self._held.get(name, (float(per_minute), now))
            held = min(float(per_minute), held + (now - then) * per_minute / 60)
            if held < 1:
                self._held[name] = (held, now)
                return (1 - held) * 60 / per_minute
            self._held[name] = (held - 1, now)
            return 0.0

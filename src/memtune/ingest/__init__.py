"""Files and rows become facts. The readers, one file each, stand in `memtune.ingest.readers`."""

from __future__ import annotations

from memtune.ingest.source import CheckedFacts, open_facts

__all__ = ["CheckedFacts", "open_facts"]

"""The memory folder: catalogue, shards, versions."""

from memtune.store.durable import FORMAT
from memtune.store.folder import MemoryFolder
from memtune.store.layout import Header
from memtune.store.manifest import Commit, Counts, FactRef, Manifest, Point, Segment
from memtune.store.writer import Writer

__all__ = ["FORMAT", "Commit", "Counts", "FactRef", "Header", "Manifest", "MemoryFolder", "Point", "Segment", "Writer"]

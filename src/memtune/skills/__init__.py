"""Skills: experts that are trained on examples of a task and opened by its domain, not by a single fact."""

from __future__ import annotations

from memtune.skills.examples import Example, Examples, read_examples
from memtune.skills.record import Record, Summary
from memtune.skills.verbs import Learned, Skills

__all__ = ["Example", "Examples", "Learned", "Record", "Skills", "Summary", "read_examples"]

"""The card of a memory: what an evaluation found, as JSON, as Markdown and as one page that needs nothing else.

`card.py` is the content, `facts.py` what follows from it fact by fact, `page.py`, `parts.py` and `markdown.py` write it
down, `plots.py` draws on `drawing.py`, `write.py` puts the folder in place.
"""

from memtune.evaluate.card.card import ByFact, Card, FactsMap, MemoryNote
from memtune.evaluate.card.facts import project
from memtune.evaluate.card.write import require_folder, write_card

__all__ = ["ByFact", "Card", "FactsMap", "MemoryNote", "project", "require_folder", "write_card"]

"""Whether a message wants its answer in a form of its own: as JSON, by a letter, in a sentence, in another language.

What recites cannot give it that; what knows perhaps can.
"""

from __future__ import annotations

import re

_SHAPES = (
    "json|yaml|xml|csv|html|markdown|latex|table|list|letters?|capitals|upper ?case|lower ?case|bullets?|"
    "bullet points?|sentences?|words|verses?|rhymes?|haiku|tweet|headline|english|french|german|spanish|italian|"
    "portuguese|dutch|polish|russian|chinese|japanese|korean|arabic|hindi|turkish"
)
_SHAPED = re.compile(
    rf"\b(?:as|in|into|using|with|by)\s+(?:(?:valid|whole|full|complete|short|single|plain|a|an|the|one|two|three|four|five|"
    rf"its|your|own)\s+){{0,3}}(?:{_SHAPES})\b",
    re.IGNORECASE,
)
_TREATED = re.compile(r"\b(?:choose|pick|select|translate|rephrase|paraphrase|summari[sz]e|spell)\b", re.IGNORECASE)
_JSON = re.compile(r"\bjson\b", re.IGNORECASE)
_OPTIONS = re.compile(r"(?:^|\s)\(?A[).:]\s.*?\s\(?B[).:]\s", re.DOTALL)


def own_form(message: str) -> bool:
    """Whether the answer shall not stand there as it is stored."""
    return any(found.search(message) for found in (_SHAPED, _TREATED, _JSON, _OPTIONS))

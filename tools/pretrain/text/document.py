"""What a generator hands over: text in pieces, each with the part it plays in the loss."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

END, PAD = "<|endoftext|>", "<|pad|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL_TOKENS = (END, PAD, SYSTEM, USER, ASSISTANT)


class Part(IntEnum):
    """The part a token plays in the loss."""

    IGNORED = 0
    BACKGROUND = 1  # invented names and numbers at first mention: mostly noise, learned from a sample
    PROSE = 2
    ANSWER = 3  # can be known from what stands before it


@dataclass(frozen=True)
class Piece:
    text: str
    part: Part


Document = tuple[Piece, ...]


def text_of(document: Document) -> str:
    return "".join(piece.text for piece in document)

"""Wordings that train the confirming network to tell which relation a question asks for, however it is worded.

Written by hand, far from the nouns and questions of `tools.pretrain.text.relations`, and independent of all measuring
data. FURTHER words the relations of that table; EXTRA holds further topics, many of them near one another (price and
deposit, author and translator); no remembered fact must answer CHAT.
"""

from __future__ import annotations

from .paraphrases_a import FURTHER
from .paraphrases_b import TOPICS as PEOPLE
from .paraphrases_c import TOPICS as THINGS
from .paraphrases_chat import CHAT
from .paraphrases_d import TOPICS as PAPERS
from .paraphrases_topic import Topic

__all__ = ["CHAT", "EXTRA", "FURTHER", "Topic"]

EXTRA: tuple[Topic, ...] = PEOPLE + THINGS + PAPERS

"""Settings of the server."""

from __future__ import annotations

from dataclasses import dataclass

from memtune.checked import Checked

DEFAULT_DATA = "memtune-data"
"""The folder of a server, or of a program that uses `memtune.lamini` without one."""


@dataclass(frozen=True)
class ServeConfig(Checked):
    """The server."""

    rows: int = 64
    """Requests that decode side by side."""
    queue: int = 256
    """Requests that wait for a place at most; one more is told to come back later."""
    prefix_tokens: int = 16_384
    """Tokens of beginnings of prompts, such as a system text, whose reading is kept for later requests; 0: none."""
    read_tokens: int = 2048
    """Padded tokens of prompts that are read in one pass while others wait for their next token."""
    shortest_prefix: int = 32
    """Tokens from which a beginning is worth keeping."""
    flush_ms: int = 40
    """How long pieces of a streamed reply are gathered before they are sent."""
    max_body: int = 8_000_000
    """Bytes of a request that is no upload."""
    max_upload: int = 2_000_000_000
    """Bytes of one upload."""
    max_messages: int = 2048
    """Messages of a chat."""
    max_choices: int = 16
    """Replies to one request, and prompts of a list 16 times as many."""
    per_minute: int = 0
    """Requests of a key in a minute, where the key itself does not say; 0: any number."""
    body_seconds: int = 30
    """How long a client may take to send a request that is no upload."""
    grace_seconds: int = 30
    """How long streams may go on after the server was told to end."""
    slots: int = 0
    """Workers that learn at one time; 0: one for each GPU, without any one for every two processors."""
    lot_size: int = 128
    """Facts that a job learns and commits together: so much is lost at most when it is broken off."""
    keep_jobs_days: int = 30
    """After which a job that is over is forgotten."""
    at_once: int = 256
    """Facts that one request may teach; more are the work of a job."""
    wait_seconds: int = 5
    """How long a change of a memory waits for another writer."""
    connections: int = 1024
    """Connections at one time; one more is closed at once."""
    cors: tuple[str, ...] = ()
    """Web pages that may call from a browser, such as https://shop.example; none unless named."""
    open_metrics: bool = False
    """Tell /metrics without a key."""
    log_texts: bool = False
    """Write prompts and answers to the log."""

    @property
    def max_texts(self) -> int:
        """Prompts of a list, at most."""
        return 16 * self.max_choices

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("rows", "queue", "max_body", "max_upload", "max_messages", "max_choices", "lot_size")

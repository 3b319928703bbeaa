"""What Prometheus is told: how much is asked, how fast it is answered, and what waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from memtune import __version__
from memtune.serve.house import House
from memtune.serve.tally import Tally

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self, house: House) -> None:
        self.registry = CollectorRegistry()
        own: Any = {"namespace": "memtune", "registry": self.registry}
        self._requests = Counter("requests", "Requests by route and status.", ["method", "route", "status"], **own)
        self._seconds = Histogram(
            "request_seconds", "From a request to the end of its answer.", ["route"], buckets=_SECONDS, **own
        )
        self._first = Histogram(
            "first_token_seconds", "From a request to the first token of a streamed reply.", buckets=_SECONDS, **own
        )
        self._tokens = Counter("tokens", "Tokens read and said.", ["kind"], **own)
        self._answers = Counter("answers", "Replies: with a fact, abstained, or the model's own.", ["outcome"], **own)
        self.registry.register(_Standing(house))

    def note(self, method: str, route: str, status: int, seconds: float, tally: Tally) -> None:
        """A request is over."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if tally.first_token is not None:
            self._first.observe(tally.first_token)
        if not tally.answers:
            return
        self._tokens.labels("prompt").inc(tally.prompt_tokens)
        self._tokens.labels("completion").inc(tally.tokens)
        self._answers.labels("fired").inc(tally.fired)
        self._answers.labels("abstained").inc(tally.abstained)
        self._answers.labels("own").inc(max(0, tally.answers - tally.fired - tally.abstained))

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Standing(Collector):
    """What holds at the moment of asking: the desk's queue and rows, jobs by state."""

    def __init__(self, house: House) -> None:
        self._house = house

    def collect(self) -> Iterator[Metric]:
        about = GaugeMetricFamily("memtune_info", "The version.", labels=["version"])
        about.add_metric([__version__], 1)
        yield about
        yield from self._desk()
        yield from self._jobs()

    def _desk(self) -> Iterator[Metric]:
        loads = self._house.desk.load()
        yield _gauge("queue", "Requests that wait for a place.", sum(load.waiting for load in loads))
        yield _gauge("rows", "Requests that decode side by side.", sum(load.rows for load in loads))
        yield _counter("decoded_tokens", "Tokens that were decoded.", sum(load.tokens for load in loads))
        prefixes = CounterMetricFamily(
            "memtune_prefixes", "Beginnings of prompts: those that were kept, and those not.", labels=["outcome"]
        )
        prefixes.add_metric(["hit"], sum(load.prefix_hits for load in loads))
        prefixes.add_metric(["miss"], sum(load.prefix_misses for load in loads))
        yield prefixes

    def _jobs(self) -> Iterator[Metric]:
        gauge = GaugeMetricFamily("memtune_jobs", "Jobs by state.", labels=["state"])
        for state, number in sorted(self._house.jobs.counts().items()):
            gauge.add_metric([state], number)
        yield gauge


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"memtune_{name}", about, value=value)


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(f"memtune_{name}", about, value=value)

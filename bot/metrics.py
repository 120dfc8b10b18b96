"""The bot's numbers in the form that Prometheus reads. No names and no ids: what is counted is nobody's in particular.

https://prometheus.io/docs/practices/naming/ says how they are called.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from bot.parts import Parts
from bot.traffic import traffic_of
from storage.census import Census, census
from storage.system import peak_memory_bytes

CONTENT_TYPE = CONTENT_TYPE_LATEST
BEAT_S = 0.5
FRESH_S = 10.0
"""So long a census holds, however often it is asked for: the address is open to whoever reaches the web pages."""
LAGS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Discord takes an interaction for failed after 3 s."""


class Metrics:
    """What this bot counts; one for each."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._started = time.monotonic()
        self._counting = asyncio.Lock()
        self._census: Census | None = None
        self._taken = 0.0
        self._registry = CollectorRegistry()
        self._lag = Histogram(
            "lorasmith_bot_event_loop_lag_seconds",
            "By how much the event loop was late, looked at twice a second",
            buckets=LAGS,
            registry=self._registry,
        )

    async def beat(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self._lag.observe(max(0.0, loop.time() - due))

    async def text(self) -> bytes:
        """All numbers of now."""
        registry = CollectorRegistry()
        registry.register(_Once([*_of_installation(await self._counted()), *self._of_bot()]))
        return generate_latest(registry) + generate_latest(self._registry)

    async def _counted(self) -> Census:
        async with self._counting:
            if self._census is None or time.monotonic() - self._taken >= FRESH_S:
                self._census = await self._parts.database.transact(census)
                self._taken = time.monotonic()
            return self._census

    def _of_bot(self) -> Iterator[Metric]:
        traffic = traffic_of(self._parts.discord)
        yield _gauge("bot_uptime_seconds", "Since the bot started", time.monotonic() - self._started)
        yield _gauge("discord_latency_seconds", "Of the gateway's last heartbeat", self._parts.discord.latency)
        yield _counter("discord_requests", "Requests to Discord", traffic.requests)
        yield _counter("discord_rate_limits", "Answers that asked to wait (429)", traffic.refusals[429])
        refusals = {str(status): n for status, n in traffic.refusals.items() if status != 429}
        answers = _by(
            "discord_errors", "Answers of 400 and more, and none", "status", {**refusals, "none": traffic.broken}
        )
        yield answers
        if (memory := peak_memory_bytes()) is not None:
            yield _gauge("bot_peak_memory_bytes", "The most that the bot has held", memory)


def _of_installation(counted: Census) -> Iterator[Metric]:
    yield _levels("orders", "Orders by stage", "stage", counted.orders)
    yield _levels("pieces", "Pieces of GPU work by state", "state", {"waiting": 0, "running": 0, **counted.pieces})
    yield _gauge("workers", "Workers that are alive", counted.workers)
    yield _gauge("gpus_busy", "Workers that hold a turn", counted.gpus_busy)
    yield _gauge("training_steps_per_second", "Of all trainings that run", counted.steps_per_s)
    yield _gauge("votes", "Votes as last counted", counted.votes)
    yield _gauge("oldest_waiting_seconds", "How long the first in line has waited", counted.oldest_wait_s)
    yield _gauge("paused", "1 while no turns are given", int(counted.paused))
    yield _levels(
        "first_turn_wait_seconds",
        "From Start to the first turn, orders of the last day",
        "quantile",
        {str(q): _quantile(counted.first_waits_s, q) for q in (0.5, 0.95, 1.0)} if counted.first_waits_s else {},
    )
    yield _counter("gpu_seconds", "GPU time of all turns that ended", counted.gpu_s)
    yield _by("turns", "Turns on the GPU by how they ended", "outcome", counted.turns)


def _quantile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


class _Once(Collector):
    """Hands over what was gathered before: the database is asked outside of the library's lock."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"lorasmith_{name}", says, value=value)


def _counter(name: str, says: str, value: float) -> Metric:
    return CounterMetricFamily(f"lorasmith_{name}", says, value=value)


def _levels(name: str, says: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"lorasmith_{name}", says, labels=[label])
    for key in sorted(values):
        family.add_metric([key], values[key])
    return family


def _by(name: str, says: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"lorasmith_{name}", says, labels=[label])
    for key in sorted(values):
        family.add_metric([key], values[key])
    return family

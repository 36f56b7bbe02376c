"""The figures of webhooks, channels and storms for Prometheus: see `metrics.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent_bus.operate.metrics import by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_bus.bus.guards.storm import StormWatch
    from agent_bus.channels.channels import Channels
    from agent_bus.core.clock import Clock
    from agent_bus.webhooks.webhooks import Webhooks


class WebhookCollector(Collector):
    """Reads how the webhooks fare; nothing without one."""

    def __init__(self, *, webhooks: Webhooks, clock: Clock) -> None:
        self._webhooks = webhooks
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector of this kind, so no names can collide."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics; blocks the greenlet for one read of the database."""
        found = self._webhooks.states()
        if not found:
            return
        now = self._clock.steady_ms()
        ages = {one.name: max(0, now - (one.oldest_at or now)) / 1000 for one in found}
        yield by("webhook_oldest_seconds", "Since the oldest waits.", "webhook", ages)
        waiting = {one.name: one.pending for one in found}
        yield by("webhook_pending", "Events that wait.", "webhook", waiting)
        lost = {one.name: (one.lost_at or 0) / 1000 for one in found}
        yield by("webhook_lost_timestamp_seconds", "When one was given up.", "webhook", lost)
        events = CounterMetricFamily(
            "agent_bus_webhook_events", "By what came of them.", labels=["webhook", "outcome"]
        )
        for one in found:
            for outcome in ("delivered", "dead", "dropped"):
                events.add_metric([one.name, outcome], getattr(one, outcome))
        yield events


class ChannelCollector(Collector):
    """Reads how the operator's channels fare; nothing without one."""

    def __init__(self, *, channels: Channels) -> None:
        self._channels = channels

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector of this kind, so no names can collide."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics; blocks the greenlet for one read of the database."""
        found = self._channels.states()
        if not found:
            return
        failures = self._channels.failures()
        yield by("channel_failures", "Failed attempts in a row.", "channel", failures)
        waiting = {one.channel.name: one.queue.pending for one in found}
        yield by("channel_pending", "Messages that wait.", "channel", waiting)
        messages = CounterMetricFamily(
            "agent_bus_channel_messages", "By what came of them.", labels=["channel", "outcome"]
        )
        for one in found:
            for outcome in ("delivered", "dead", "dropped"):
                messages.add_metric([one.channel.name, outcome], getattr(one.queue, outcome))
        yield messages


class StormCollector(Collector):
    """Reads how many storms there are; each hub counts those that it found."""

    def __init__(self, *, storm: StormWatch) -> None:
        self._storm = storm

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector of this kind, so no names can collide."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics; never blocks."""
        guard = self._storm.guard
        levels = self._storm.levels()
        now = {level: levels[level] for level in ("damped", "held")}
        yield by("storms", "Storms that are damped or held.", "level", now)
        withheld = guard.withheld.count
        yield GaugeMetricFamily("agent_bus_withheld_deliveries", "Not woken for.", withheld)
        found = CounterMetricFamily(
            "agent_bus_storms_found", "Storms that this hub found first.", labels=["signal"]
        )
        for signal, count in guard.found.items():
            found.add_metric([signal], count)
        yield found

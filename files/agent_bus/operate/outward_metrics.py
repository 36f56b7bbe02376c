"""The figures of what goes out, and of the guards, for Prometheus: see `metrics.py`."""

from __future__ import annotations

from collections import Counter as Tally
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent_bus.core import states
from agent_bus.core.model import OPERATOR
from agent_bus.operate.metrics import by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_bus.bus.guards.ladder import Ladder
    from agent_bus.bus.guards.storm import StormWatch
    from agent_bus.bus.guards.wake_budgets import WakeBudgets
    from agent_bus.bus.guards.wake_gate import WakeGate
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


class WakeCollector(Collector):
    """Reads what was counted. Series: one per agent and kind of wake that it has had."""

    def __init__(self, *, budgets: WakeBudgets, gate: WakeGate) -> None:
        self._budgets = budgets
        self._gate = gate

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector of this kind, so no names can collide."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics; never blocks."""
        woken = CounterMetricFamily(
            "agent_bus_wakes", "Wakes that began a turn.", labels=["agent", "kind"]
        )
        for (agent, kind), count in sorted(self._budgets.totals.items()):
            woken.add_metric([agent, kind], count)
        yield woken
        tally = Tally(hold.reason for hold in self._gate.held.values())
        held = GaugeMetricFamily(
            "agent_bus_agents_held", "Agents that are not woken now.", labels=["reason"]
        )
        for reason in states.HOLD_REASONS:
            held.add_metric([reason], tally[reason])
        yield held
        yield from self._of_budgets()

    def _of_budgets(self) -> Iterator[Metric]:
        labels = ["who", "window"]
        used = GaugeMetricFamily("agent_bus_wake_budget_used", "Wakes in it.", labels=labels)
        limit = GaugeMetricFamily("agent_bus_wake_budget_limit", "At most.", labels=labels)
        for use in self._budgets.uses():
            for window, count, most in (
                ("hour", use.hour, use.budget.per_hour),
                ("day", use.day, use.budget.per_day),
                ("urgent", use.urgent, use.budget.urgent_reserve),
            ):
                if most is not None:
                    used.add_metric([use.who, window], count)
                    limit.add_metric([use.who, window], most)
        yield from (used, limit)


class LadderCollector(Collector):
    """Reads what the ladder of urgent mail has done at this hub."""

    def __init__(self, *, ladder: Ladder) -> None:
        self._ladder = ladder

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector of this kind, so no names can collide."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics; reads nothing from the database."""
        top = {OPERATOR: 0, **self._ladder.at_top}  # so that the name is there from the first
        yield by("ladder_top", "Unread though the operator was told.", "agent", top)
        steps = CounterMetricFamily(
            "agent_bus_ladder_steps", "Deliveries by whom was told of them.", labels=["to"]
        )
        for kind in ("agent", "group", "operator"):
            steps.add_metric([kind], self._ladder.taken[kind])
        yield steps

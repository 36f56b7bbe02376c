"""The hub's figures for Prometheus; only `outward_metrics.py` knows its library, too.

Nothing is counted here: at each scrape a collector reads what bus, store and streams count for
themselves, so that watching costs the hot path nothing.
"""

from __future__ import annotations

from collections import Counter as Tally
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from agent_bus.core import states

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_bus.bus.broker import Broker
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.bus.presence import Presence
    from agent_bus.core.clock import Clock
    from agent_bus.core.latency import Histogram, Latency
    from agent_bus.operate.hubs.facts import ClusterState
    from agent_bus.operate.hubs.watch import HubsWatch
    from agent_bus.operate.reserves import Reserves
    from agent_bus.runtime.process import Process
    from agent_bus.store.contract import Vitals

ALERTED: Final = ("auth_throttled", "disk_full", "unauthenticated")
"""Refusals with an alert: they start at 0, because without a 0 the first is no increase."""


class Exporter:
    """Renders all figures in Prometheus's text format."""

    def __init__(self, *collectors: Collector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        for one in collectors:
            self._registry.register(one)

    def render(self) -> bytes:
        """The figures as of now; reads the database once."""
        return generate_latest(self._registry)


class HubCollector(Collector):
    """Reads the figures of one hub.

    Args:
        refusals: problems answered so far, by code.
        version: the running release.
    """

    def __init__(
        self,
        *,
        vitals: Vitals,
        counters: Counters,
        directory: Directory,
        presence: Presence,
        broker: Broker,
        latency: Latency,
        clock: Clock,
        refusals: Mapping[str, int],
        version: str,
    ) -> None:
        self._vitals = vitals
        self._counters = counters
        self._directory = directory
        self._presence = presence
        self._broker = broker
        self._latency = latency
        self._clock = clock
        self._refusals = refusals
        self._version = version

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector of this kind, so no names can collide."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics; blocks the greenlet for one read of the database."""
        yield self._build()
        yield from self._messages()
        yield from self._fleet()
        yield from self._streams()
        yield from self._hops()
        yield from self._database()

    def _build(self) -> Metric:
        facts = self._vitals.facts()
        engine = "sqlite_version" if "sqlite_version" in facts else "server_version"
        info = GaugeMetricFamily(
            "agent_bus_build_info", "Always 1; labels say what runs.",
            labels=["version", engine, "schema_version"],
        )  # fmt: skip
        info.add_metric([self._version, str(facts[engine]), str(facts["schema_version"])], 1)
        return info

    def _messages(self) -> Iterator[Metric]:
        since = self._counters
        yield _counter("messages_accepted", "Messages answered 201 and synced.", since.sent_count)
        yield _counter("deliveries_pushed", "Deliveries written to streams.", since.pushed_count)
        yield _counter("deliveries_acked", "Deliveries read (acked).", since.acked_count)
        yield _counter("tasks_made", "Requests by A2A that were taken.", since.task_count)
        yield _gauge("tasks_waiting", "Who waits for an answer by A2A now.", since.asking_count)
        rejected = CounterMetricFamily(
            "agent_bus_requests_rejected", "Requests answered with a problem.", labels=["code"]
        )
        for code, count in sorted({**dict.fromkeys(ALERTED, 0), **self._refusals}.items()):
            rejected.add_metric([code], count)
        yield rejected

    def _fleet(self) -> Iterator[Metric]:
        agents = self._directory.agents
        counted = Tally(self._presence.status(name) for name in self._directory.roster.agents)
        reachable = GaugeMetricFamily(
            "agent_bus_agents", "Agents of the roster by reachability.", labels=["status"]
        )
        for state in states.AGENT_STATUSES:
            reachable.add_metric([state], counted[state])
        yield reachable
        # A guest has no watcher, nor has a node without agents, such as a hub of its own.
        homes = [node for node, names in self._directory.nodes.items() if names]
        nodes = sorted(node for node in homes if not self._directory.is_guest(node))
        ups = {node: int(self._presence.lease(node) is not None) for node in nodes}
        yield _gauge("watchers_connected", "Nodes whose watcher is connected.", sum(ups.values()))
        yield _gauge("nodes", "Nodes of the roster that have agents and a watcher.", len(nodes))
        yield _gauge("guests", "Nodes of the roster without a watcher.", len(homes) - len(nodes))
        watchers = GaugeMetricFamily(
            "agent_bus_watcher_up", "1 while the node's watcher holds its lease.", labels=["node"]
        )
        for node, is_up in ups.items():
            watchers.add_metric([node], is_up)
        yield watchers
        unread = GaugeMetricFamily(
            "agent_bus_mailbox_unread", "Deliveries not yet acked.", labels=["agent"]
        )
        unfetched = GaugeMetricFamily(
            "agent_bus_mailbox_unfetched", "Deliveries not yet shown.", labels=["agent"]
        )
        age = GaugeMetricFamily(
            "agent_bus_mailbox_oldest_unread_seconds",
            "Age of the oldest unread delivery; 0 without one.",
            labels=["agent"],
        )
        oldest = self._vitals.oldest_unread()
        now = self._clock.now_ms()
        for name in sorted(agents):
            box = self._counters.mailbox(name)
            unread.add_metric([name], box.unread)
            unfetched.add_metric([name], box.unfetched)
            age.add_metric([name], max(0, now - oldest.get(name, now)) / 1000)
        yield from (unread, unfetched, age)

    def _streams(self) -> Iterator[Metric]:
        streams = list(self._broker)
        open_ones = GaugeMetricFamily("agent_bus_streams", "Open streams.", labels=["role"])
        watchers = sum(stream.is_watcher for stream in streams)
        open_ones.add_metric(["watcher"], watchers)
        open_ones.add_metric(["reader"], len(streams) - watchers)
        yield open_ones
        waiting = [stream.waiting for stream in streams]
        yield _gauge("stream_queue_events", "Events queued for all streams.", sum(waiting))
        yield _gauge(
            "stream_queue_events_max",
            "Events queued for the slowest stream.",
            max(waiting, default=0),
        )

    def _hops(self) -> Iterator[Metric]:
        hops = HistogramMetricFamily(
            "agent_bus_hop_seconds", "From the commit to this hop.", labels=["hop"]
        )
        wakes = HistogramMetricFamily(
            "agent_bus_wake_call_seconds",
            "The watcher's call to the gateway, by what came of it.",
            labels=["event"],
        )
        for family, measured in ((hops, self._latency.hops), (wakes, self._latency.wakes)):
            for label, durations in sorted(measured.items()):
                buckets, total = _buckets(durations.histogram, scale=0.001)
                family.add_metric([label], buckets, total)
        yield from (hops, wakes)

    def _database(self) -> Iterator[Metric]:
        measured = self._vitals.histograms()
        for name, words, key in (
            ("commit_batch_commands", "Commands in one commit.", "batch_commands"),
            ("commit_seconds", "COMMIT, which holds the fsync.", "commit_s"),
            ("transaction_seconds", "From BEGIN to the end of COMMIT.", "transaction_s"),
        ):
            buckets, total = _buckets(measured[key])
            yield HistogramMetricFamily(f"agent_bus_{name}", words, buckets, total)
        counts = self._vitals.counts()
        size = GaugeMetricFamily(
            "agent_bus_database_bytes",
            "Size on disk: the database (free pages are in it) and its WAL.",
            labels=["part"],
        )
        for part in ("database", "free", "wal"):
            size.add_metric([part], counts[f"{part}_bytes"])
        yield size
        yield _gauge("head_seq", "The newest seq ever given.", counts["head"])


class HostCollector(Collector):
    """Reads what runs out, and what the process uses."""

    def __init__(self, *, reserves: Reserves, process: Process) -> None:
        self._reserves = reserves
        self._process = process

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector of this kind, so no names can collide."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics; blocks the greenlet for one read of the database."""
        yield from self._running_out()
        yield from self._usage()

    def _running_out(self) -> Iterator[Metric]:
        left = self._reserves.look()
        ends = GaugeMetricFamily(
            "agent_bus_certificate_expires_timestamp_seconds",
            "When a certificate ends; none without TLS.",
            labels=["certificate"],
        )
        for name, at in left.certificates.items():
            ends.add_metric([name], at / 1000)
        yield ends
        yield _gauge("disk_free_bytes", "Room on the database's disk.", left.disk_free_bytes)
        yield _gauge("disk_size_bytes", "Size of the database's disk.", left.disk_total_bytes)
        rotation = GaugeMetricFamily(
            "agent_bus_token_rotation_seconds",
            "How long two tokens have been valid; absent for a node with one.",
            labels=["node"],
        )
        for node, at in left.rotating.items():
            rotation.add_metric([node], (left.now - at) / 1000)
        yield rotation
        yield _gauge(
            "backup_age_seconds",
            "Age of the newest backup; without one, of the roster.",
            left.backup_age_s,
        )
        yield _gauge(
            "archive_oldest_seconds",
            "How long the oldest archived message has been there; 0 without one.",
            left.archive_age_s,
        )
        yield _gauge(
            "archive_retention_seconds",
            "How long archived messages are kept.",
            left.retain_archive_ms / 1000,
        )

    def _usage(self) -> Iterator[Metric]:
        usage = self._process.usage()
        yield CounterMetricFamily(
            "process_cpu_seconds", "Processor time, user and system.", usage.cpu_s
        )
        for name, words, value in (
            ("virtual_memory_bytes", "Virtual memory.", usage.virtual_bytes),
            ("resident_memory_bytes", "Memory in use.", usage.resident_bytes),
            ("open_fds", "Open files and connections.", usage.open_fds),
            ("max_fds", "How many may be open.", usage.max_fds),
            ("start_time_seconds", "When the process started.", usage.started_at),
        ):
            yield GaugeMetricFamily(f"process_{name}", words, value)


class ClusterCollector(Collector):
    """Tells of the hubs and their database what was seen at the last look; nothing if alone."""

    def __init__(self, *, watch: HubsWatch) -> None:
        self._watch = watch

    def describe(self) -> list[Metric]:
        """Nothing: there is one collector of this kind, so no names can collide."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All metrics; never blocks."""
        state = self._watch.state
        if state is not None:
            yield from self._hubs(state)
            yield from self._members(state)
            yield from self._etcd(state)

    def _hubs(self, state: ClusterState) -> Iterator[Metric]:
        live = {hub.name: hub.is_live is True for hub in state.hubs}
        yield by("hub_up", "1 while a hub is heard.", "hub", live)
        yield _gauge("hub_fenced", "1 while this hub sends its clients away.", state.is_fenced)
        yield _gauge(
            "barrier_age_seconds", "Since a write of this hub was acknowledged.", state.acked_s
        )

    def _members(self, state: ClusterState) -> Iterator[Metric]:
        found, primary = state.members, state.primary
        there = {one.name: one.is_there for one in found}
        yield by("database_member_up", "1 while a member is there.", "member", there)
        leads = {one.name: one is primary for one in found}
        yield by("database_primary", "1 for the primary.", "member", leads)
        lag = {one.name: one.lag_bytes for one in found if one.lag_bytes is not None}
        yield by("database_lag_bytes", "How far a standby is behind.", "member", lag)
        lag_s = {one.name: one.lag_s for one in found if one.lag_s is not None}
        yield by("database_lag_seconds", "For how long a standby is behind.", "member", lag_s)
        for name, words, value in (
            ("members", "Members there should be.", len(found)),
            ("members_there", "Members that are there.", state.there_count),
            ("members_needed", "Members that a commit needs.", state.needed),
            ("without_primary_seconds", "Since a primary was reached.", state.without_primary_s),
            ("paused", "1 while Patroni is paused.", state.is_paused),
        ):
            yield _gauge(f"database_{name}", words, value)

    def _etcd(self, state: ClusterState) -> Iterator[Metric]:
        known = [one for one in state.etcds if one.is_healthy is not None]
        up = {one.name: one.is_healthy is True for one in known}
        yield by("etcd_member_up", "1 while etcd is healthy on a host.", "member", up)
        yield _gauge("etcd_has_leader", "1 while etcd has a leader.", state.has_etcd_leader)
        size = {one.name: one.size_bytes for one in known if one.quota_bytes}
        yield by("etcd_size_bytes", "Size of etcd's database.", "member", size)
        quota = {one.name: one.quota_bytes for one in known if one.quota_bytes}
        yield by("etcd_quota_bytes", "How large it may become.", "member", quota)


def by(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    """A gauge with one label, from its values by that."""
    found = GaugeMetricFamily(f"agent_bus_{name}", words, labels=[label])
    for key, value in values.items():
        found.add_metric([key], value)
    return found


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"agent_bus_{name}", words, value)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"agent_bus_{name}", words, value)


def _buckets(of: Histogram, *, scale: float = 1.0) -> tuple[list[tuple[str, float]], float]:
    """(cumulative buckets, sum) for Prometheus; bounds and sum are multiplied by `scale`."""
    bounds = [*(f"{bound * scale:g}" for bound in of.bounds), "+Inf"]
    return list(zip(bounds, accumulate(of.counts), strict=True)), of.total * scale

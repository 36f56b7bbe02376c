"""Liveness, readiness and the figures that an operator or agent asks for."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from agent_bus.core.model import rfc3339
from agent_bus.http.call import Answer, Call
from agent_bus.operate import reserves
from agent_bus.runtime import greenlets

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.bus.broker import Broker
    from agent_bus.bus.counters import Counters
    from agent_bus.bus.directory import Directory
    from agent_bus.core.clock import Clock
    from agent_bus.core.latency import Latency
    from agent_bus.operate.alerting import Alerting
    from agent_bus.operate.metrics import Exporter
    from agent_bus.operate.reserves import Reserves
    from agent_bus.store.cluster import Writing
    from agent_bus.store.contract import Store, Vitals


FIGURES: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus's text format."""


class Health:
    """`/livez`, `/readyz` (open to all, without names) and `/api/stats`."""

    def __init__(
        self,
        *,
        store: Store,
        vitals: Vitals,
        counters: Counters,
        directory: Directory,
        broker: Broker,
        latency: Latency,
        alerting: Alerting,
        reserves: Reserves,
        clock: Clock,
        version: str,
        writing: Callable[[], Writing | None],
    ) -> None:
        self._store = store
        self._vitals = vitals
        self._counters = counters
        self._directory = directory
        self._broker = broker
        self._latency = latency
        self._alerting = alerting
        self._reserves = reserves
        self._clock = clock
        self._version = version
        self._writing = writing
        self._started = clock.monotonic()
        self.is_stopping = False

    def livez(self, _call: Call) -> Answer:
        """The process serves requests, and how it writes; asks nothing of the database."""
        writing = self._writing()
        content = {
            "alive": True,
            "version": self._version,
            "written_s_ago": None if writing is None else round(writing.last_s_ago, 3),
            "writing_for_s": None if writing is None else round(writing.for_s, 3),
        }
        return Answer(200, content)

    def readyz(self, _call: Call) -> Answer:
        """The release that runs, and whether it can take messages.

        `checks` maps each part to "ok" or to what is wrong with it.
        """
        checks = self._checks()
        ready = all(result == "ok" for result in checks.values())
        content = {"ready": ready, "version": self._version, "checks": checks}
        return Answer(200 if ready else 503, content)

    def is_ready(self) -> bool:
        """Whether the hub can take messages."""
        return all(result == "ok" for result in self._checks().values())

    def is_well(self) -> bool:
        """Whether the hub works, or a restart would not help; feeds systemd's watchdog.

        A full disk is no reason for a restart: reads and streams go on, and writes do once there
        is room. Nor is a database on other machines that is away: streams stay.
        """
        if self.is_stopping:
            return False
        return self._writing() is not None or self._check_reading() == "ok"

    def stats(self, _call: Call) -> Answer:
        """Totals, depth, latency quantiles, alerts, streams and the database's own figures."""
        uptime_s = self._clock.monotonic() - self._started
        streams = list(self._broker)
        counts = self._vitals.counts()
        oldest = self._vitals.oldest_unread()
        content = {
            "version": self._version,
            "epoch": self._store.epoch,
            "uptime_s": round(uptime_s, 3),
            "agents": len(self._directory.roster.agents),
            "nodes": len(self._directory.nodes),
            "streams": {
                "open": len(streams),
                "watchers": sum(stream.is_watcher for stream in streams),
            },
            "messages": {
                "accepted": self._counters.sent_count,
                "delivered": self._counters.pushed_count,
                "acked": self._counters.acked_count,
                "accepted_per_s": round(self._counters.sent_count / max(uptime_s, 0.001), 3),
                "unread": counts["unread"],
                "unfetched": counts["unfetched"],
                "oldest_unread_at": rfc3339(min(oldest.values(), default=None)),
                "head": counts["head"],
            },
            "latency_ms": self._latency.quantiles(),
            "alerts": self._alerting.firing,
            "reserves": reserves.facts(self._reserves.look()),
            "database": {
                **self._vitals.facts(),
                "bytes": counts["database_bytes"],
                "free_bytes": counts["free_bytes"],
                "wal_bytes": counts["wal_bytes"],
                "commits": counts["commits"],
                "commands": counts["commands"],
            },
        }
        return Answer(200, content)

    def _checks(self) -> dict[str, str]:
        return {
            "reading": self._check_reading(),
            "writing": self._vitals.writing(),
            "process": "is stopping" if self.is_stopping else "ok",
        }

    def _check_reading(self) -> str:
        try:
            self._store.head()
        except Exception as error:  # noqa: BLE001 - whatever it is, readiness must say it
            return f"the database cannot be read: {error}"
        return "ok"


def metrics_endpoint(build: Callable[[], Exporter]) -> Callable[[Call], Answer]:
    """`/metrics` as an endpoint.

    Its exporter is built for the first scrape, in a thread: to import its library takes 50 ms.
    """
    built = functools.cache(lambda: greenlets.offload(build))
    headers = {"Content-Type": FIGURES}
    return lambda _call: Answer(200, headers=headers, raw=built().render())

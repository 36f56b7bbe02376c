"""The report thread: tells the hub in batches what became of wakes, and never delays a wake.

A bounded spool keeps reports while the hub is away. Past `SPOOL` the oldest are dropped,
`received` first: when a message was received matters less than how its wake ended.
"""

from __future__ import annotations

import logging
import threading
import time

from agent_bus_client.api import WakeEvent
from agent_bus_client.errors import ClientError, HubRefusedError
from agent_bus_client.net.backoff import Backoff

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.watcher.node import Report

logger = logging.getLogger(__name__)

SPOOL = 2000  # 400 bytes each
BATCH = 80  # the hub takes bodies up to 64 KiB
MAX_REASON = 300  # characters; the hub refuses more than 500
GATHER_S = 0.05  # so that the hops of one wake are reported together
FAREWELL_S = 0.5  # the unit has to stop within 2 s


class ReportThread(threading.Thread):
    """Sends reports in the order in which they came, to the hub that the stream is on."""

    def __init__(self, hubs: Hubs) -> None:
        super().__init__(name="reports", daemon=True)
        self._hubs = hubs
        self._spool: list[Report] = []
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._stopping = threading.Event()
        self._go_on = threading.Event()
        self._backoff = Backoff()

    def add(self, reports: Iterable[Report]) -> None:
        """Queue reports; never blocks on the network."""
        with self._lock:
            self._spool.extend(reports)
            self._spool = trimmed(self._spool, SPOOL)
        self._some.set()

    def connected(self) -> None:
        """Note that the hub is there: reports need not wait any longer."""
        self._go_on.set()

    def run(self) -> None:
        """Send until `stop`; a hub that is away is tried again with backoff."""
        while not self._stopping.is_set():
            self._some.wait()
            self._stopping.wait(GATHER_S)
            try:
                self._some.clear()
                while self._send(timeout_s=5.0):
                    pass
            except ClientError as error:
                self._some.set()
                logger.debug("reports wait for the hub", extra={"reason": str(error)})
                self._go_on.wait(self._backoff.next_delay_s())
                self._go_on.clear()
            except Exception:
                logger.exception("report thread failed, going on")
                self._stopping.wait(1.0)

    def stop(self) -> None:
        """End the thread, after one short last try to send what is left."""
        self._stopping.set()
        self._go_on.set()
        self._some.set()
        try:
            self._send(timeout_s=FAREWELL_S)
        except ClientError as error:
            logger.info("last reports were not sent", extra={"reason": str(error)})

    def _send(self, *, timeout_s: float) -> bool:
        """Send one batch; return whether there may be more.

        Raises:
            ClientError: the hub is away; the batch stays.
        """
        with self._lock:
            batch, self._spool = self._spool[:BATCH], self._spool[BATCH:]
        if not batch:
            return False
        now = time.monotonic()
        body = {"reports": [encode(report, now) for report in batch]}
        try:
            self._hubs.current.call("POST", "/api/wakes", body=body, timeout_s=timeout_s)
        except ClientError as error:
            if isinstance(error, HubRefusedError) and error.status in {400, 404, 413, 422}:
                logger.error("hub refused reports, dropped them", extra={"reason": str(error)})
                return True
            with self._lock:
                self._spool = trimmed(batch + self._spool, SPOOL)
            raise
        self._backoff = Backoff()
        return True


def encode(report: Report, now: float) -> dict[str, object]:
    """Return the report as the hub reads it."""
    return {
        "agent": report.agent,
        "event": report.event,
        "age_ms": max(0, round((now - report.at) * 1000)),
        "up_to_seq": report.up_to_seq,
        "reason": report.reason and report.reason[:MAX_REASON],
        "probe_id": report.probe_id,
        "duration_ms": report.duration_ms,
    }


def trimmed(spool: list[Report], limit: int) -> list[Report]:
    """Return at most `limit` reports in order; the oldest `received` go first, then the oldest."""
    surplus = len(spool) - limit
    if surplus <= 0:
        return spool
    kept, received = [], WakeEvent.RECEIVED
    for report in spool:
        if surplus > 0 and report.event is received:
            surplus -= 1
        else:
            kept.append(report)
    return kept[surplus:] if surplus > 0 else kept

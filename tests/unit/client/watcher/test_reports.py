from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from agent_bus_client.api import WakeEvent
from agent_bus_client.hub.hubs import Hubs
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.net.backoff import Backoff
from agent_bus_client.watcher.node import Report
from agent_bus_client.watcher.reports import MAX_REASON, ReportThread, encode, trimmed
from tests.support.patience import wait_until
from tests.support.played_hub import PlayedHub


def spool(*events: WakeEvent) -> list[Report]:
    return [Report("alpha", event, float(n)) for n, event in enumerate(events)]


def test_an_age_is_sent_instead_of_a_time() -> None:
    line = encode(Report("alpha", WakeEvent.ACCEPTED, 10.0, 7, duration_ms=4), 10.25)
    assert '"event": "accepted"' in json.dumps(line)
    assert (line["age_ms"], line["up_to_seq"], line["duration_ms"]) == (250, 7, 4)
    assert encode(Report("alpha", WakeEvent.ACCEPTED, 10.0), 9.0)["age_ms"] == 0


def test_a_long_reason_is_cut() -> None:
    line = encode(Report("alpha", WakeEvent.FAILED, 0.0, reason="x" * 1000), 0.0)
    assert len(str(line["reason"])) == MAX_REASON


def test_the_oldest_received_go_first() -> None:
    kept = trimmed(
        spool(
            WakeEvent.RECEIVED,
            WakeEvent.ACCEPTED,
            WakeEvent.RECEIVED,
            WakeEvent.FAILED,
            WakeEvent.RECEIVED,
        ),
        3,
    )
    assert [report.event for report in kept] == [
        WakeEvent.ACCEPTED,
        WakeEvent.FAILED,
        WakeEvent.RECEIVED,
    ]


@given(
    st.lists(st.sampled_from([WakeEvent.RECEIVED, WakeEvent.ACCEPTED, WakeEvent.FAILED])),
    st.integers(0, 10),
)
def test_a_trimmed_spool_is_short_ordered_and_keeps_what_matters(
    events: list[WakeEvent], limit: int
) -> None:
    whole = spool(*events)
    kept = trimmed(whole, limit)
    assert len(kept) == min(len(whole), limit)
    assert kept == sorted(kept, key=lambda report: report.at)
    if any(report.event == WakeEvent.RECEIVED for report in kept):
        lost = [report for report in whole if report not in kept]
        assert all(report.event == WakeEvent.RECEIVED for report in lost)


def test_reports_that_wait_go_out_when_the_hub_is_back() -> None:
    answers: list[tuple[int, None] | None] = [None]
    with PlayedHub(lambda *_: answers[0]) as played:
        reports = ReportThread(Hubs((HubClient(played.url, lambda: "secret"),)))
        reports._backoff = Backoff(base_s=3600, cap_s=3600, draw=lambda: 1.0)
        reports.start()
        reports.add(spool(WakeEvent.ACCEPTED))
        wait_until(lambda: len(played.bodies) == 1 and reports._spool, "a try has failed")
        answers[0] = (200, None)
        reports.connected()
        wait_until(lambda: len(played.bodies) == 2 and not reports._spool, "they were sent")
        reports.stop()
        reports.join()

from __future__ import annotations

import pytest

from agent_bus.core.latency import KEPT, REMEMBERED, Latency, quantile
from agent_bus.core.model import AgentName, Seq

BETA = AgentName("beta")


def test_quantiles_of_the_most_recent() -> None:
    latency = Latency()
    for value in range(1, 101):
        latency.hop("pushed", value)
    found = latency.quantiles()["stored_to_pushed"]
    assert found == {"count": 100, "p50": 51, "p90": 90, "p99": 99, "max": 100}
    for _ in range(KEPT):
        latency.hop("pushed", 7)
    assert latency.quantiles()["stored_to_pushed"]["max"] == 7
    assert sum(latency.hops["pushed"].histogram.counts) == 100 + KEPT


def test_hops_and_wakes_that_share_a_word_are_kept_apart() -> None:
    latency = Latency()
    latency.hop("accepted", 1)
    latency.wake("accepted", 2)
    found = {name: one["max"] for name, one in latency.quantiles().items()}
    assert found == {"stored_to_accepted": 1, "wake_accepted": 2}


def test_one_observation_is_all_quantiles() -> None:
    latency = Latency()
    latency.hop("pushed", 3)
    assert latency.quantiles()["stored_to_pushed"] == {
        "count": 1,
        "p50": 3,
        "p90": 3,
        "p99": 3,
        "max": 3,
    }
    assert Latency().quantiles() == {}


def test_a_hop_is_timed_once_for_each_delivery_that_it_reaches_first() -> None:
    latency = Latency()
    for seq in (1, 2, 3):
        latency.stored(BETA, Seq(seq), float(seq))
    latency.reached("received", BETA, Seq(2), 10.0)
    latency.reached("received", BETA, Seq(2), 20.0)
    latency.reached("received", BETA, Seq(1), 20.0)
    assert latency.quantiles()["stored_to_received"]["count"] == 2
    latency.reached("received", BETA, Seq(3), 20.0)
    assert latency.quantiles()["stored_to_received"]["max"] == 17_000


def test_an_agent_that_never_reports_costs_a_bounded_memory() -> None:
    latency = Latency()
    for seq in range(3 * REMEMBERED):
        latency.stored(BETA, Seq(seq), 0.0)
    assert len(latency._stored[BETA].seqs) <= 2 * REMEMBERED
    assert len(latency._stored[BETA].ats) == len(latency._stored[BETA].seqs)
    latency.reached("fetched", BETA, Seq(3 * REMEMBERED), 0.0)
    assert sum(latency.hops["fetched"].histogram.counts) == REMEMBERED


def test_a_quantile_is_linear_within_its_bucket() -> None:
    bounds = (1.0, 2.0, 4.0)
    assert quantile([0, 0, 0, 0], bounds, 0.5) == 0
    assert quantile([4, 0, 0, 0], bounds, 0.5) == 0.5
    assert quantile([2, 2, 0, 0], bounds, 0.75) == 1.5
    assert quantile([0, 0, 10, 0], bounds, 0.9) == pytest.approx(3.8)
    assert quantile([0, 0, 0, 5], bounds, 0.99) == 4.0

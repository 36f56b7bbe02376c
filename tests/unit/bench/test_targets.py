"""Whether a run of the benchmark reached its goals is told truly, also when parts were not run."""

from __future__ import annotations

from typing import Any

from bench.targets import Goal, against, goals

TIMES: dict[str, Any] = {"p50_ms": 1.0, "p99_ms": 2.0, "lost": 0, "doubled": 0}


def verdicts(
    compared: dict[str, Any], alone: dict[str, Any], shapes: dict[str, Any] | None = None
) -> dict[tuple[str, str], str]:
    found = goals({"compared": compared, "agent-bus": alone, "shapes": shapes or {}})
    return {(goal.what, goal.wanted): goal.verdict for goal in found}


def test_what_was_not_run_is_neither_reached_nor_missed() -> None:
    assert set(verdicts({}, {}).values()) == {"not run"}
    rest = {"agent-bus": [TIMES], "JetStream synced": {"not_run": "no server"}}
    found = verdicts({"rest": rest}, {})
    assert found["at rest, p50", "<= 1.8 x JetStream's"] == "not run"
    assert found["rest, lost or doubled", "0"] == "reached"


def test_ratios_are_of_one_round() -> None:
    ours = [{**TIMES, "p50_ms": 1.7}, {**TIMES, "p50_ms": 17.0}, {**TIMES, "p50_ms": 1.7}]
    synced = [TIMES, {**TIMES, "p50_ms": 10.0, "p99_ms": 0.4}, {**TIMES, "p99_ms": 0.4}]
    found = verdicts({"rest": {"agent-bus": ours, "JetStream synced": synced}}, {})
    assert found["at rest, p50", "<= 1.8 x JetStream's"] == "reached"
    assert found["at rest, p99", "<= 4 x JetStream's"] == "missed"


def test_load_is_beside_a_peer_and_beside_an_afternoons_work() -> None:
    def rounds(**figures: float) -> list[dict[str, Any]]:
        return [{**TIMES, **figures}]

    load = {
        "agent-bus": [{**TIMES, "per_s": 900.0, "server_us": 200.0, "lost": 1}],
        "JetStream synced": rounds(per_s=1000.0, server_us=100.0),
        "FastAPI + SQLite": rounds(per_s=100.0, server_us=900.0),
    }
    found = verdicts({"load": load}, {})
    assert found["load, server CPU", "<= 1.7 x JetStream's"] == "missed"
    assert found["load, messages/s", ">= 0.9 x JetStream's"] == "reached"
    assert found["load, messages/s", ">= 4.5 x FastAPI's"] == "reached"
    assert found["load, lost or doubled", "0"] == "missed"


def test_bounds_are_those_of_the_median_round() -> None:
    memory = [{"pss_mib": 59.0, "stream_kib": 11.0, "lost": 0}]
    closes = [{"gone_s": 0.5}, {"gone_s": 0.9}, {"gone_s": 30.0}]
    found = verdicts({}, {}, {"memory": memory, "closes": closes, "key": [{"doubled": 1}]})
    assert found["memory after 10,000 messages, MiB", "<= 60"] == "reached"
    assert found["an idle stream of 1,000, KiB", "<= 10"] == "missed"
    assert found["descriptors of 1,000 closed streams, s", "<= 1"] == "reached"
    assert found["real clients' shapes, lost or doubled", "0"] == "missed"


def test_a_short_resume_proves_nothing() -> None:
    for resumed, verdict in ((2000, "not run"), (10_000, "reached")):
        recovery = {"recovery": {"resume_s": 0.4, "resumed": resumed}}
        assert verdicts({}, recovery)["a resume of 10,000 messages, s", "<= 2"] == verdict


def test_goals_beside_a_revision_are_ratios_to_it() -> None:
    load = {"new": [{"server_us": 190.0}], "old": [{"server_us": 500.0}]}
    broadcast = {"new": [{"p50_ms": 3.0}], "old": [{"p50_ms": 5.0}]}
    found = {goal.what: goal.verdict for goal in against({"load": load, "broadcast": broadcast})}
    assert found["load, server CPU"] == "reached"
    assert found["broadcast, p50"] == "missed"
    assert found["key-close, server CPU"] == "not run"


def test_a_line_names_goal_figure_and_verdict() -> None:
    line = Goal("load", ">= 1 x", 1.25, 1, is_floor=True).line()
    assert [part in line for part in ("load", ">= 1 x", "1.25", "reached")] == [True] * 4

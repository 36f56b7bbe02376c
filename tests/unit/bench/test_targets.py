"""Whether a run of the benchmark reached its goals is told truly, also when parts were not run."""

from __future__ import annotations

from typing import Any

from bench.targets import Goal, goals

TIMES: dict[str, Any] = {"p50_ms": 1.0, "p99_ms": 2.0, "lost": 0, "doubled": 0}


def verdicts(compared: dict[str, Any], alone: dict[str, Any]) -> dict[tuple[str, str], str]:
    found = goals({"compared": compared, "agent-bus": alone})
    return {(goal.what, goal.wanted): goal.verdict for goal in found}


def test_what_was_not_run_is_neither_reached_nor_missed() -> None:
    assert set(verdicts({}, {}).values()) == {"not run"}
    refused = {"rest": {"not_run": "no server"}}
    found = verdicts({"agent-bus": {"rest": TIMES}, "JetStream synced": refused}, {})
    assert found["at rest, p50", "<= 2 x JetStream's"] == "not run"
    assert found["rest, lost or doubled", "0"] == "reached"


def test_ratios_are_of_one_run() -> None:
    ours = {"rest": {**TIMES, "p50_ms": 1.9}, "load": {**TIMES, "per_s": 900.0, "lost": 1}}
    synced = {"rest": {**TIMES, "p99_ms": 0.4}, "load": {**TIMES, "per_s": 1000.0}}
    found = verdicts({"agent-bus": ours, "JetStream synced": synced}, {})
    assert found["at rest, p50", "<= 2 x JetStream's"] == "reached"
    assert found["at rest, p99", "<= 4 x JetStream's"] == "missed"
    assert found["load, messages/s", ">= 1 x JetStream's"] == "missed"
    assert found["load, lost or doubled", "0"] == "missed"


def test_a_short_resume_proves_nothing() -> None:
    for resumed, verdict in ((2000, "not run"), (10_000, "reached")):
        recovery = {"recovery": {"resume_s": 0.4, "resumed": resumed}}
        assert verdicts({}, recovery)["a resume of 10,000 messages, s", "<= 2"] == verdict


def test_a_line_names_goal_figure_and_verdict() -> None:
    line = Goal("load", ">= 1 x", 1.25, 1, is_floor=True).line()
    assert [part in line for part in ("load", ">= 1 x", "1.25", "reached")] == [True] * 4

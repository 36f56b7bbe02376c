"""Wake budgets come with the roster and go with it; a pause is one playbook away from its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet
    from molecule.lifecycle.tests.conftest import Operator, Run


def test_budgets_and_a_pause_hold_agents_and_are_taken_back(
    running: RunningFleet, operator: Operator
) -> None:
    here, there = (running.who.agents[node][0] for node in running.nodes[:2])
    allow(operator, {here: {"per_day": 0}})
    assert states(running)[here] == "budget"
    said = running.as_user(running.nodes[1], f"agent-bus send --as {there} {here} Hello")
    assert "its wake budget is spent" in said
    assert sum(allow(operator, {here: {"per_day": 0}}).changed.values()) == 0
    allow(operator, {here: {"per_day": 50}, there: {"per_day": 0}})
    assert (states(running)[here], states(running)[there]) == ("online", "budget")
    wrong = json.dumps({"wake_budgets": {"agents": {"nobody-at-all": {"per_day": 1}}}})
    refused = operator.play("site.yml", "--tags", "roster", "-e", wrong)
    assert refused.code != 0
    assert refused.says("'nobody-at-all' in agents, which the inventory does not have")
    operator.roll_out("--tags", "roster")
    assert set(states(running).values()) == {"online"}

    assert operator.follow("pause", "playbooks/pause.yml -e pause=all").code == 0
    assert set(states(running).values()) == {"paused"}
    again = operator.follow("pause", "playbooks/pause.yml -e pause=all")
    assert sum(again.changed.values()) == 0
    checked = operator.follow("pause", "playbooks/resume.yml -e pause=all", "--check")
    assert checked.code == 0, checked.text
    assert set(states(running).values()) == {"paused"}
    assert operator.follow("pause", "playbooks/resume.yml -e pause=all").code == 0
    assert set(states(running).values()) == {"online"}


def allow(operator: Operator, agents: dict[str, dict[str, int]]) -> Run:
    """Roll budgets of agents out, and none of the fleet."""
    given = json.dumps({"wake_budgets": {"fleet": False, "agents": agents}})
    run = operator.follow("limit-wakes", "site.yml --tags roster", "-e", given)
    assert run.code == 0, run.text
    return run


def states(running: RunningFleet) -> dict[str, str]:
    """Return each agent's state, as the hub's own tool says it; guests have none."""
    listed = running.on(running.who.hub, "sudo agent-bus-admin --json roster")
    return {
        agent["name"]: agent["status"]
        for agent in json.loads(listed)["agents"]
        if agent["status"] not in {"guest", "retired"}
    }

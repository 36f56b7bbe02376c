"""A ladder of urgent mail comes with the roster and is climbed; a question is answered."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lab.probe.running import until

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet
    from molecule.lifecycle.tests.conftest import Operator

PAGE, COMMAND = "escalate", "site.yml --tags roster"
MINUTE_S = 60


def test_urgent_mail_climbs_by_the_rules_of_the_inventory(
    running: RunningFleet, operator: Operator
) -> None:
    here, there, told = (running.who.agents[node][0] for node in running.nodes[:3])
    rules = {"agents": {there: [{"after_min": 1, "to": told}]}}
    given = json.dumps({"message_escalation": rules})
    first = operator.follow(PAGE, COMMAND, "-e", given)
    assert first.code == 0, first.text
    assert sum(operator.follow(PAGE, COMMAND, "-e", given).changed.values()) == 0
    # the lab's agents read whatever they are woken for, and a pause does not stop the ladder
    running.on(running.who.hub, f"sudo agent-bus-admin pause {there}")
    words = f"agent-bus send --no-spool --as {here} {there} Help --priority urgent"
    sent = re.search(r"sent (\w{26})", running.as_user(running.nodes[0], words))
    assert sent

    def notices() -> list[Any]:
        (delivery,) = running.api(f"/api/messages/{sent[1]}")["deliveries"]
        return [step["notice_id"] for step in delivery["ladder"] if step["to"] == told]

    until(lambda: any(notices()), what=f"{told} is told", seconds=3 * MINUTE_S)
    (notice,) = notices()
    woken = f"/api/messages/{notice}"
    until(lambda: running.api(woken)["deliveries"][0]["accepted_at"], what=f"{told} is woken")
    wrong = json.dumps({"message_escalation": {"agents": {"nobody-at-all": []}}})
    refused = operator.play("site.yml", "--tags", "roster", "-e", wrong)
    assert refused.code != 0
    assert refused.says("message_escalation.agents.nobody-at-all names no agent")
    operator.roll_out("--tags", "roster")
    running.on(running.who.hub, f"sudo agent-bus-admin resume {there}")
    until(
        lambda: running.api(f"/api/messages/{sent[1]}")["deliveries"][0]["read_at"],
        what=f"{there} reads it, since it is woken again",
    )


def test_an_agent_asks_another_for_a_choice_and_is_answered_once(running: RunningFleet) -> None:
    here, there = (running.who.agents[node][0] for node in running.nodes[:2])
    ask = f"agent-bus ask --as {here} {there} Now? --choices yes,no --wait 0"
    asked = re.search(r"sent (\w{26}), not waited for", running.as_user(running.nodes[0], ask))
    assert asked
    running.as_user(running.nodes[1], f"agent-bus answer --as {there} {asked[1]} yes --ack")
    status = running.as_user(running.nodes[0], f"agent-bus status {asked[1]}")
    assert f'{there} answered "yes"' in status

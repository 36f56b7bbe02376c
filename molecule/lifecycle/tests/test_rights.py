"""Rules about who may write to whom come with the roster, change with it and go with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lab.paths import LabError

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet
    from molecule.lifecycle.tests.conftest import Operator, Run

PAGE, COMMAND = "who-may-write-to-whom", "site.yml --tags roster"


@dataclass(frozen=True)
class Ruled:
    """Three agents on three hosts, and the operator's rules about the first one."""

    running: RunningFleet
    operator: Operator
    here: str
    there: str
    elsewhere: str

    def by(self, *rules: dict[str, Any]) -> Run:
        """Roll rules out, and a group of the other two agents."""
        both = {"both": [self.there, self.elsewhere]}
        given = json.dumps({"message_rights": list(rules), "agent_groups": both})
        run = self.operator.follow(PAGE, COMMAND, "-e", given)
        assert run.code == 0, run.text
        return run

    def write(self, to: str) -> str:
        """Let the first agent write, by the command line of its host."""
        words = f"agent-bus send --no-spool --as {self.here} {to} Hello"
        return self.running.as_user(self.running.nodes[0], words)

    def is_refused(self, to: str, rules: str) -> None:
        """Let it write, and be refused by these rules."""
        words = f"{self.here} may not write to {to}: {rules} of message_rights"
        with pytest.raises(LabError) as refused:
            self.write(to)
        assert words in str(refused.value)


@pytest.fixture
def ruled(running: RunningFleet, operator: Operator) -> Ruled:
    here, there, elsewhere = (running.who.agents[node][0] for node in running.nodes[:3])
    return Ruled(running, operator, here, there, elsewhere)


def test_a_rule_comes_with_the_roster_and_goes_with_it(
    running: RunningFleet, operator: Operator, ruled: Ruled
) -> None:
    here, there, elsewhere = ruled.here, ruled.there, ruled.elsewhere
    before = processes(running)
    ruled.by({"from": here, "to": [there], "name": "narrow"})
    assert there in ruled.write(there)
    ruled.is_refused(elsewhere, "rule 1 (narrow)")
    assert f"not sent to {elsewhere}" in ruled.write("@both")
    listed = running.as_user(running.nodes[0], f"agent-bus agents --json --as {here}")
    assert {agent["name"] for agent in json.loads(listed)["agents"]} == {here, there}
    told = running.on(running.who.hub, f"sudo agent-bus-admin rights {here}").splitlines()
    assert told[1].split() == [here, there, "1"]
    assert told[-1] == f"rule 1 (narrow): from {here} to {there}"
    operator.roll_out("--tags", "roster")
    assert elsewhere in ruled.write(elsewhere)
    assert processes(running) == before, "nothing was restarted"


def test_rules_are_changed_by_one_task_and_a_wrong_one_by_none(
    operator: Operator, ruled: Ruled
) -> None:
    here, there, elsewhere = ruled.here, ruled.there, ruled.elsewhere
    assert sum(ruled.by({"from": here, "to": there}).changed.values()) == 1
    deny = {"from": "all", "to": []}
    assert sum(ruled.by(deny, {"from": here, "to": elsewhere}).changed.values()) == 1
    assert sum(ruled.by(deny, {"from": here, "to": elsewhere}).changed.values()) == 0
    assert elsewhere in ruled.write(elsewhere)
    ruled.is_refused(there, "rule 1, rule 2")
    assert "operator" in ruled.write("operator")
    wrong = json.dumps({"message_rights": [{"from": "nobody-at-all", "to": []}]})
    refused = operator.play("site.yml", "--tags", "roster", "-e", wrong)
    assert refused.code != 0
    assert refused.says("'nobody-at-all' in `from`, neither an agent nor a group")
    ruled.is_refused(there, "rule 1, rule 2")
    operator.roll_out("--tags", "roster")
    assert there in ruled.write(there)


def processes(running: RunningFleet) -> list[dict[str, str]]:
    """Return the hub's process and each watcher's."""
    show = "systemctl show bus-watcher --property=MainPID"
    hub = running.properties("agent-bus", "MainPID", host=running.who.hub)
    return [hub, dict(running.on_nodes(show))]

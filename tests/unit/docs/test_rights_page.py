"""The examples of the page about who may write to whom mean what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_bus.bus.directory import Directory
from agent_bus.core import errors
from agent_bus.core.guards import policy
from agent_bus.core.model import Agent, AgentName, NodeName, Roster
from roles.fleet.filter_plugins.roster import roster
from roles.preflight.filter_plugins.preflight_rights import rights_findings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "how-to" / "who-may-write-to-whom.md").read_text()
GROUPS = {
    "engineering": ["coder", "reviewer", "tester", "releaser"],
    "household": ["homekeeper", "chef"],
}
AGENTS = [*GROUPS["engineering"], *GROUPS["household"], "concierge", "anna-claude"]


def directory(rules: list[dict[str, Any]]) -> Directory:
    """The hub's, after the way that rules take from the inventory."""
    hosts = {"box": {"agents": AGENTS, "agent_groups": GROUPS, "message_rights": rules}}
    assert rights_findings({"nodes": ["box"]}, hosts) == []
    body = roster(["box"], hosts, tokens={}, groups=GROUPS, leaving=[], force=False, rights=rules)
    text = policy.canonical(body["rights"])
    said = Roster(
        agents={AgentName(name): NodeName("box") for name in AGENTS},
        groups={group: tuple(map(AgentName, of)) for group, of in GROUPS.items()},
        policies={"rights": text},
    )
    made = Directory()
    made.replace(said, [Agent(AgentName(name), NodeName("box")) for name in AGENTS])
    return made


def reached(of: Directory, sender: str) -> set[str]:
    return {to for to in AGENTS if of.rights.may(AgentName(sender), AgentName(to))} - {sender}


def test_the_first_example_says_who_writes_to_whom_and_how_that_is_refused() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    said = yaml.safe_load(block)
    assert said["agent_groups"] == GROUPS
    found = directory(said["message_rights"])
    assert reached(found, "chef") == {"homekeeper", "concierge"}
    assert reached(found, "anna-claude") == {"concierge"}
    assert reached(found, "coder") == {*AGENTS} - {"coder"}
    with pytest.raises(errors.NotAllowedError) as refused:
        found.recipients("coder", sender=AgentName("chef"))
    (shown,) = re.findall(r"agent-bus: (chef may not write .*) \.\.\.", PAGE)
    assert refused.value.detail.startswith(shown)


def test_each_wish_of_the_table_is_granted_by_its_rules() -> None:
    table = dict(re.findall(r"^\| ([^|`]*(?:`[^`]*`[^|`]*)*) \| (.*) \|$", PAGE, re.MULTILINE))

    def of(*wishes: str) -> Directory:
        texts = [text for wish in wishes for text in re.findall(r"`(\{.*?\})`", table[wish])]
        return directory([yaml.safe_load(text) for text in texts])

    everybody = set(AGENTS)
    assert reached(of("`chef` writes to nobody but the operator"), "chef") == set()
    household = of("`chef` writes to the household alone")
    assert reached(household, "chef") == {"homekeeper"}
    deny = of("deny unless another rule allows")
    assert all(reached(deny, agent) == set() for agent in AGENTS)
    teams = ("teams keep to themselves", "... but `releaser` may write to all")
    assert reached(of(teams[0]), "releaser") == {"coder", "reviewer", "tester"}
    assert reached(of(*teams), "releaser") == everybody - {"releaser"}
    assert reached(of(*teams), "chef") == {"homekeeper"}
    desk = of("all may write to `concierge`, who may write to all")
    assert reached(desk, "chef") == {"concierge"}
    assert reached(desk, "concierge") == everybody - {"concierge"}

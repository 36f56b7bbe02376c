"""A machine that Ansible does not manage comes by one line of the inventory and goes with it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from lab.fleet import standing
from lab.paths import fleet_dir

if TYPE_CHECKING:
    from pathlib import Path

    from lab.probe.running import RunningFleet
    from molecule.lifecycle.tests.conftest import Operator

LINE = ("-e", json.dumps({"guests": {"laptop-anna": ["anna-claude"]}}))


def ask(running: RunningFleet, token: str, path: str, **fields: str) -> Any:
    """Call the hub from this machine, which is none of the fleet."""
    address = standing.spec_of(running.up, running.who.hub).address
    request = urllib.request.Request(
        f"http://{address}:{running.who.port}{path}",
        data=json.dumps(fields).encode() if fields else None,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    open_ = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    with open_(request, timeout=30) as answer:
        return json.load(answer)


def token_file(running: RunningFleet) -> Path:
    return fleet_dir(running.up.name) / "secrets" / "guests" / "laptop-anna.token"


def test_a_guest_comes_by_one_line_and_goes_with_it(
    running: RunningFleet, operator: Operator
) -> None:
    invited = operator.follow("add-a-guest", "site.yml --tags roster", *LINE)
    assert invited.code == 0, invited.text
    file = token_file(running)
    assert invited.says(f"laptop-anna (anna-claude): its token is in {file}")
    token = file.read_text().strip()
    assert token not in invited.text

    node = running.nodes[0]
    agent = running.who.agents[node][0]
    told = running.as_user(node, f"agent-bus send --as {agent} anna-claude Hello")
    assert "it is a guest, which no watcher wakes; it reads when it asks" in told
    (message,) = ask(running, token, "/api/inbox")["messages"]
    assert (message["from_agent"], message["body"]) == (agent, "Hello")
    ask(running, token, "/api/send", to=agent, body="Hello yourself", reply_to=message["id"])
    thread = running.as_user(node, f"agent-bus thread --as {agent} {message['id']}")
    assert "Hello yourself" in thread

    verified = operator.play("playbooks/verify.yml", *LINE)
    assert verified.code == 0, verified.text
    assert operator.play("playbooks/status.yml").says("laptop-anna - guest - ")

    operator.roll_out("--tags", "roster")
    assert not file.exists()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(running, token, "/api/inbox")


def test_a_guests_token_is_replaced_while_the_old_one_counts(
    running: RunningFleet, operator: Operator
) -> None:
    operator.roll_out("--tags", "roster", *LINE)
    old = token_file(running).read_text().strip()
    command = "playbooks/rotate_tokens.yml -e rotate_guests=laptop-anna"
    here = (*LINE, *operator.at_once, *operator.hub_settings)
    rotated = operator.follow("rotate-tokens", command, *here)
    assert rotated.code == 0, rotated.text
    new = token_file(running).read_text().strip()
    assert new not in {old, *rotated.text.split()}
    for valid in (old, new):  # until the old one's file is deleted
        assert "messages" in ask(running, valid, "/api/inbox")
    operator.roll_out("--tags", "roster")

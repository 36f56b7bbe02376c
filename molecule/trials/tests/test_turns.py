"""An agent whose runtime is started for each turn, under real systemd."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.probe.running import until

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet

AGENT, HOST, USER = "dora", "birch", "dev"


def test_mail_starts_a_turn_as_the_user_that_the_inventory_names(running: RunningFleet) -> None:
    message = running.send("bert", AGENT, "begin a turn")
    until(lambda: running.is_fetched(message), what="a turn has read it")
    (delivery,) = running.api(f"/api/messages/{message}")["deliveries"]
    assert delivery["wake_failure"] is None
    unit = f"agent-bus-turn@{AGENT}"
    until(lambda: ended(running, unit), what="the journal tells how the turn ended")
    told = ended(running, unit)[-1]
    assert (told["agent"], told["code"]) == (AGENT, 0)
    assert running.properties(unit, "User", host=HOST) == {"User": USER}
    turns = running.on(HOST, f"sudo cat /home/{USER}/standin-turns.jsonl").splitlines()
    assert "begin a turn" not in "".join(turns)
    assert "AGENT_BUS_TOKEN" not in "".join(turns)


def test_only_the_watcher_may_wake(running: RunningFleet) -> None:
    socket = f"/run/agent-bus/turns/{AGENT}.sock"
    found = running.on(HOST, f"stat -c '%F %U %a' {socket}").strip()
    assert found == "socket bus-watcher 600"


def test_the_agent_is_spoken_for_by_its_own_user_alone(running: RunningFleet) -> None:
    """By default, as that user is its own; it does not get the node's token at all."""
    token = f"/etc/agent-bus/tokens/{AGENT}"
    assert running.on(HOST, f"sudo stat -c '%U %a' {token}").strip() == f"{USER} 400"
    assert running.on(HOST, "sudo ls /etc/agent-bus/cli").split() == ["openclaw.token"]
    asking = f"agent-bus inbox --as {AGENT} --peek"
    said = running.on(HOST, f"sudo runuser -u openclaw -- {asking} 2>&1; echo code $?")
    assert f"{AGENT} has a token of its own, which openclaw may not read" in said
    assert f"sudo -u {USER} agent-bus ..." in said
    assert "code 78" in said
    nodes = "AGENT_BUS_TOKEN_FILE=/etc/agent-bus/cli/openclaw.token"
    said = running.on(HOST, f"sudo runuser -u openclaw -- env {nodes} {asking} 2>&1; echo code $?")
    assert f"not for {AGENT}" in said
    assert "code 77" in said
    said = running.on(
        HOST, f"sudo runuser -u {USER} -- agent-bus inbox --as ada 2>&1; echo code $?"
    )
    assert "code 78" in said
    sent = running.send(AGENT, "bert", "with a token of its own")
    assert running.api(f"/api/messages/{sent}")["from_agent"] == AGENT


def test_doctor_finds_nothing_wrong_as_that_user(running: RunningFleet) -> None:
    said = running.on(HOST, f"sudo runuser -u {USER} -- agent-bus doctor --json")
    checks = {check["name"]: check for check in json.loads(said)["checks"]}
    assert checks[f"turns of {AGENT}"]["ok"], checks


def ended(running: RunningFleet, unit: str) -> list[dict[str, object]]:
    """Return what the journal says of turns that have ended well."""
    lines = running.on(HOST, f"sudo journalctl --no-pager -o cat -u {unit}").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line["event"] == "turn ended"]

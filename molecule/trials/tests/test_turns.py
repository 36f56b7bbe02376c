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
    token = f"/etc/agent-bus/cli/{USER}.token"
    assert running.on(HOST, f"sudo stat -c '%U %a' {token}").strip() == f"{USER} 400"


def test_doctor_finds_nothing_wrong_as_that_user(running: RunningFleet) -> None:
    said = running.on(HOST, f"sudo runuser -u {USER} -- agent-bus doctor --json")
    checks = {check["name"]: check for check in json.loads(said)["checks"]}
    assert checks[f"turns of {AGENT}"]["ok"], checks


def ended(running: RunningFleet, unit: str) -> list[dict[str, object]]:
    """Return what the journal says of turns that have ended well."""
    lines = running.on(HOST, f"sudo journalctl --no-pager -o cat -u {unit}").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line["event"] == "turn ended"]

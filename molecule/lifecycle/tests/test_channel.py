"""The operator's channels of the inventory, told by the hub's own unit under real systemd."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.probe.running import until
from molecule.lifecycle.tests.conftest import Operator

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet

KEPT = "/run/phone.jsonl"
SECRET = "streng-geheim"
SERVICE = f"""
import http.server
class Service(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open("{KEPT}", "a") as file:
            print(body, file=file)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{{}}")
http.server.HTTPServer(("127.0.0.1", 9182), Service).serve_forever()
"""


def test_the_operator_is_told_from_within_the_units_sandbox(running: RunningFleet) -> None:
    start(running)
    until(lambda: said(running, "test phone")["ok"], what="the service takes a test")
    subject = f"disk of {running.who.hub} is full"
    write(running, subject)
    until(lambda: f"[urgent] bert: {subject}" in titles(running), what="told")
    (channel,) = said(running, "")["channels"]
    assert (channel["name"], channel["kind"], channel["last_error"]) == ("phone", "ntfy", None)
    assert all(one["topic"] == SECRET for one in kept(running))
    log = running.on(running.who.hub, "sudo journalctl --no-pager -u agent-bus")
    assert SECRET not in log
    file = "/etc/agent-bus/secrets/channels.json"
    assert running.on(running.who.hub, f"sudo stat -c '%U %a' {file}").strip() == "root 600"


def test_a_channel_is_changed_and_taken_back(running: RunningFleet) -> None:
    start(running)
    pager = {"name": "pager", "url": f"ntfy://127.0.0.1:9182/{SECRET}", "priorities": ["high"]}
    changed = roll_out(running, pager)
    assert SECRET not in changed
    assert [one["name"] for one in said(running, "")["channels"]] == ["pager"]
    write(running, "a new pager", "high")
    until(lambda: "[high] bert: a new pager" in titles(running), what="told by the new one")

    run = Operator(running).play(
        "site.yml", *at_the_hub(running), "-e", given({**pager, "url": f"tgram://{SECRET}"})
    )
    assert run.code != 0
    assert run.says("channel pager: Apprise does not take this URL"), run.text
    assert SECRET not in run.text
    assert said(running, "test pager")["ok"], "what ran before still runs"

    roll_out(running)
    assert said(running, "")["channels"] == []
    back = Operator(running).roll_out(*at_the_hub(running))
    assert back.changed[running.who.hub] > 0
    assert said(running, "test phone")["ok"]


def at_the_hub(running: RunningFleet) -> tuple[str, ...]:
    return ("--limit", running.who.hub, "--tags", "hub", *Operator.hub_settings)


def given(*channels: dict[str, Any]) -> str:
    return json.dumps({"operator_channels": list(channels)})


def roll_out(running: RunningFleet, *channels: dict[str, Any]) -> str:
    """Roll these channels out instead of the inventory's; return what was said."""
    return Operator(running).roll_out(*at_the_hub(running), "-e", given(*channels)).text


def start(running: RunningFleet) -> None:
    """Start the service on the hub, unless it runs."""
    running.on(
        running.who.hub, f"sudo tee /run/phone.py > /dev/null; sudo touch {KEPT}", stdin=SERVICE
    )
    started = "systemctl is-active --quiet phone || sudo systemd-run --quiet --unit=phone"
    running.on(running.who.hub, f"{started} /usr/bin/python3 /run/phone.py")


def write(running: RunningFleet, subject: str, priority: str = "urgent") -> None:
    """Let an agent write to the operator."""
    node = next(node for node, agents in running.who.agents.items() if "bert" in agents)
    words = f"agent-bus send --as bert --priority {priority} --subject '{subject}' operator Look."
    running.as_user(node, words)


def said(running: RunningFleet, words: str) -> dict[str, Any]:
    """Return what `agent-bus-admin channels` says."""
    answer = running.on(running.who.hub, f"sudo agent-bus-admin --json channels {words} || true")
    found: dict[str, Any] = json.loads(answer)
    return found


def kept(running: RunningFleet) -> list[dict[str, Any]]:
    """Return what the service was posted."""
    lines = running.on(running.who.hub, f"sudo cat {KEPT}").splitlines()
    return [json.loads(line) for line in lines]


def titles(running: RunningFleet) -> list[str]:
    return [one["title"] for one in kept(running)]

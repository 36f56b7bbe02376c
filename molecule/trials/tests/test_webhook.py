"""A webhook of the inventory, told by the hub's own unit under real systemd."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from standardwebhooks import Webhook

from lab.paths import fleet_dir
from lab.probe.running import until
from molecule.lifecycle.tests.conftest import Operator

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet

NAME = "desk"
KEPT = "/run/desk.jsonl"
RECEIVER = f"""
import http.server, json
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open("{KEPT}", "a") as file:
            print(json.dumps([dict(self.headers), body]), file=file)
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9181), Receiver).serve_forever()
"""


def test_mail_to_the_operator_is_told_with_a_signature(running: RunningFleet) -> None:
    hub = running.who.hub
    secret = (fleet_dir(running.up.name) / "secrets" / "webhooks" / f"{NAME}.token").read_text()
    running.on(hub, f"sudo tee /run/desk.py > /dev/null; sudo touch {KEPT}", stdin=RECEIVER)
    running.on(hub, "sudo systemd-run --quiet --unit=desk /usr/bin/python3 /run/desk.py")
    until(lambda: said(running, f"test {NAME}")["ok"], what="the receiver takes a test")

    message = running.send("bert", "operator", "is anybody there")
    until(lambda: message in [event["data"]["id"] for event in told(running, secret)], what="told")
    (event,) = [one for one in told(running, secret) if one["data"]["id"] == message]
    assert (event["type"], event["data"]["body"]) == ("message.stored", "is anybody there")


def test_a_second_rollout_changes_nothing_of_it(running: RunningFleet) -> None:
    hub = running.who.hub
    again = Operator(running).roll_out("--limit", hub, "--tags", "hub")
    assert again.changed[hub] == 0, again.text
    secrets = "/etc/agent-bus/secrets/webhook-secrets.json"
    assert running.on(hub, f"sudo stat -c '%U %a' {secrets}").strip() == "root 600"


def said(running: RunningFleet, words: str) -> dict[str, Any]:
    """Return what `agent-bus-admin webhooks` says."""
    answer = running.on(running.who.hub, f"sudo agent-bus-admin webhooks {words} --json || true")
    found: dict[str, Any] = json.loads(answer)
    return found


def told(running: RunningFleet, secret: str) -> list[dict[str, Any]]:
    """Return the events that the receiver got; each has to be signed with the secret."""
    lines = running.on(running.who.hub, f"sudo cat {KEPT}").splitlines()
    hook = Webhook(secret.strip())
    return [hook.verify(body, headers) for headers, body in map(json.loads, lines)]

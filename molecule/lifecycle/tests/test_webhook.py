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
    until(lambda: message in ids(running), what="told")
    (event,) = [one for one in told(kept(running), secret) if one["data"].get("id") == message]
    assert (event["type"], event["data"]["body"]) == ("message.stored", "is anybody there")


def test_a_second_rollout_changes_nothing_of_it(running: RunningFleet) -> None:
    hub = running.who.hub
    again = Operator(running).roll_out("--limit", hub, "--tags", "hub")
    assert again.changed[hub] == 0, again.text
    secrets = "/etc/agent-bus/secrets/webhook-secrets.json"
    assert running.on(hub, f"sudo stat -c '%U %a' {secrets}").strip() == "root 600"


def test_a_new_secret_signs_beside_the_old_one(running: RunningFleet) -> None:
    file = fleet_dir(running.up.name) / "secrets" / "webhooks" / f"{NAME}.token"
    before = file.read_text()
    operator = Operator(running)
    command = "playbooks/rotate_tokens.yml -e rotate_webhooks=true"
    run = operator.follow("webhooks", command, *operator.at_once, *operator.hub_settings)
    assert run.code == 0, run.text
    assert before not in run.text
    old, new = file.with_name(f"{NAME}.token.old").read_text(), file.read_text()
    assert (old, new != old) == (before, True)

    message = running.send("bert", "operator", "and now")
    until(lambda: message in ids(running), what="told")
    last = kept(running)[-1:]
    for secret in (old, new):
        assert [event["data"]["id"] for event in told(last, secret)] == [message]


def said(running: RunningFleet, words: str) -> dict[str, Any]:
    """Return what `agent-bus-admin webhooks` says."""
    answer = running.on(running.who.hub, f"sudo agent-bus-admin --json webhooks {words} || true")
    found: dict[str, Any] = json.loads(answer)
    return found


def kept(running: RunningFleet) -> list[tuple[dict[str, str], str]]:
    """Return headers and body of each request that the receiver got."""
    lines = running.on(running.who.hub, f"sudo cat {KEPT}").splitlines()
    return [(headers, body) for headers, body in map(json.loads, lines)]


def ids(running: RunningFleet) -> list[str]:
    """Return the messages that the receiver was told of."""
    return [json.loads(body)["data"].get("id") for _, body in kept(running)]


def told(requests: list[tuple[dict[str, str], str]], secret: str) -> list[dict[str, Any]]:
    """Return the events of requests; each has to be signed with the secret."""
    hook = Webhook(secret.strip())
    return [hook.verify(body, headers) for headers, body in requests]

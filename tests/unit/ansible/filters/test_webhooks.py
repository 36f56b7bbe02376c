"""What the hub is given of the inventory's webhooks, judged by the hub's own settings."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from agent_bus import webhook_settings
from filter_plugins import webhooks

if TYPE_CHECKING:
    from pathlib import Path

OPS: dict[str, Any] = {"name": "ops", "url": "https://ops.example.com/", "fleet": True}
LAN: dict[str, Any] = {
    "name": "lan",
    "url": "http://lan:8080/",
    "agents": ["alpha"],
    "events": ["read"],
    "body": True,
    "allow_http": True,
    "allow_private": True,
}


def test_the_hub_takes_what_is_made_of_the_inventory(tmp_path: Path) -> None:
    made = webhooks.webhooks_json([OPS, LAN, {**OPS, "name": "own", "ca_file": "/here/ca.crt"}])
    (tmp_path / "w").write_text(json.dumps(made))
    ops, lan, own = webhook_settings.load(tmp_path / "w")
    assert (ops.fleet, ops.body, ops.allow_private, ops.events) == (
        True,
        False,
        False,
        ("message",),
    )
    assert (lan.agents, lan.body, lan.allow_private, lan.events) == (
        ("alpha",), True, True, ("read",),
    )  # fmt: skip
    assert str(own.ca_file) == "/etc/agent-bus/webhook-own-ca.crt"
    (file,) = webhooks.webhook_ca_files([{**OPS, "name": "own"}], ["PEM"])
    assert (file["path"], file["content"]) == (str(own.ca_file), "PEM\n")


def test_secrets_have_the_form_that_the_hub_asks_for(tmp_path: Path) -> None:
    new, old = webhooks.webhook_secrets(["a" * 43, "b" * 43])
    folder = "/secrets"
    texts = {f"{folder}/webhooks/ops.token": new, f"{folder}/webhooks/ops.token.old": f"{old}\n"}
    made = webhooks.secrets_by_webhook([OPS, LAN], texts, folder)
    assert made == {"ops": [new, old], "lan": []}
    (tmp_path / "secrets").write_text(json.dumps(made))
    document = {"secrets_file": str(tmp_path / "secrets"), "webhooks": [OPS]}
    (tmp_path / "w").write_text(json.dumps(document))
    (signed,) = webhook_settings.load_signed(tmp_path / "w")
    assert signed.secrets == (b"a" * 43, b"b" * 43)
    assert base64.b64decode(new.removeprefix("whsec_")) == b"a" * 43


def test_the_names_are_those_of_the_first_hub() -> None:
    groups = {"hub": ["h1", "h2"]}
    hostvars = {"h1": {"message_bus_webhooks": [OPS, LAN]}, "h2": {}}
    assert webhooks.webhooks_of(groups, hostvars) == ["ops", "lan"]
    assert webhooks.webhooks_of({}, {}) == []
    assert webhooks.webhooks_of(groups, {"h1": {}}) == []

"""What an inventory may say of webhooks."""

from __future__ import annotations

from typing import Any

import pytest

from roles.preflight.filter_plugins.preflight_webhooks import webhook_findings

OPS: dict[str, Any] = {"name": "ops", "url": "https://ops.example.com/hook", "fleet": True}


def said(*webhooks: Any, second: Any = None) -> str:
    hub: dict[str, Any] = {
        "message_bus_webhooks": list(webhooks),
        "agents": ["alpha", {"name": "beta"}],
        "agent_groups": {"greeks": ["alpha"]},
        "guests": {"laptop": {"agents": ["guest"]}, "phone": ["other"]},
    }
    hostvars: dict[str, dict[str, Any]] = {"h1": hub, "n1": {"agents": ["gamma"]}}
    groups = {"hub": ["h1"]}
    if second is not None:
        hostvars["h2"] = {"message_bus_webhooks": second}
        groups["hub"].append("h2")
    return "\n".join(one["says"] for one in webhook_findings(groups, hostvars))


def test_what_is_right_is_left_alone() -> None:
    assert said() == ""
    named = {"agents": ["alpha", "beta", "gamma", "guest", "other", "operator"], "fleet": False}
    assert said(OPS, {**OPS, **named, "name": "a", "groups": ["greeks"]}) == ""
    lan = {"name": "lan", "url": "http://10.0.0.1/", "allow_http": True, "allow_private": True}
    assert said({**lan, "fleet": True, "events": ["read", "overdue"], "body": True}) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Ops!"}, "a word of letters"),
        ({"name": None}, "entry 1: its name"),
        ({"url": ""}, "url '' is not like https://host/path"),
        ({"url": "ftp://x/"}, "is not like https://host/path"),
        ({"url": "https://[1/"}, "is none"),
        ({"url": "https://u:p@x/"}, "holds a user or password"),
        ({"url": "http://x/"}, "set allow_http: true"),
        ({"event": ["read"]}, "'event' is unknown; did you mean 'events'?"),
        ({"events": ["raed"]}, "event 'raed' is none of message, read, overdue"),
        ({"events": []}, "event None is none of"),
        ({"events": "read"}, "events has to be a list"),
        ({"body": "no"}, "body has to be true or false"),
        ({"fleet": False}, "set either `fleet: true`, or agents and groups"),
        ({"agents": ["alpha"]}, "set either `fleet: true`, or agents and groups"),
        ({"fleet": False, "agents": ["alhpa"]}, "agent 'alhpa' is not in the inventory; did you"),
        ({"fleet": False, "groups": ["romans"]}, "group 'romans' is not in the inventory"),
        ({"ca_file": "/nowhere"}, "ca_file /nowhere on this machine is no file"),
    ],
)
def test_each_fault_says_what_to_write(change: dict[str, Any], words: str) -> None:
    assert words in said({**OPS, **change})


def test_entries_are_mappings_with_names_of_their_own_and_not_too_many() -> None:
    assert "entry 1 is 'ops'; write a mapping" in said("ops")
    assert "ops stands there twice" in said(OPS, OPS)
    assert "the hub takes 20" in said(*({**OPS, "name": f"w{n}"} for n in range(21)))


def test_several_hubs_have_the_same() -> None:
    assert said(OPS, second=[OPS]) == ""
    assert "not the same for all hubs" in said(OPS, second=[])

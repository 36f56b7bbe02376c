"""What an inventory may say of the operator's channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from roles.preflight.filter_plugins.preflight_webhooks import channel_findings

if TYPE_CHECKING:
    from pathlib import Path

PHONE: dict[str, Any] = {"name": "phone", "url": "ntfys://geheim@ntfy.example.com/geheim"}
DESK: dict[str, Any] = {"name": "desk", "url": "https://desk.example.com/geheim"}


def said(*channels: Any, second: Any = None) -> str:
    hostvars: dict[str, dict[str, Any]] = {"h1": {"operator_channels": list(channels)}}
    if second is not None:
        hostvars["h2"] = {"operator_channels": second}
    return "\n".join(one["says"] for one in channel_findings({"hub": list(hostvars)}, hostvars))


def test_what_is_right_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("tgram://1:geheim/2\n")
    rules = {
        "priorities": ["urgent", "normal"],
        "timezone": "Europe/Berlin",
        "quiet_hours": {"from": "22:00", "to": "07:00", "except": []},
        "digest": {"every_min": 60, "except": ["urgent"]},
        "body": False,
    }
    by_file = {"name": "file", "url_file": str(file), "digest": {"at": "07:30"}}
    assert said() == ""
    assert said({**PHONE, **rules}, DESK, by_file) == ""
    assert said(PHONE, second=[PHONE]) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "My phone"}, "a word of letters"),
        ({"name": None}, "entry 1: its name"),
        ({"url": ""}, "set either url or url_file"),
        ({"url_file": "/x"}, "set either url or url_file"),
        ({"url": "", "url_file": "/nowhere"}, "url_file /nowhere on this machine is no file"),
        ({"url": "geheim"}, "not like scheme://"),
        ({"url": "ntfys://geheim/ x"}, "not like scheme://"),
        ({"url": "http://geheim/"}, "set allow_http: true"),
        ({"url": "https://geheim:p@x/"}, "holds a user or password"),
        ({"url": "https:///geheim"}, "not like https://host/path"),
        ({"allow_private": True}, "for https:// only"),
        ({"quiet_hour": {}}, "'quiet_hour' is unknown; did you mean 'quiet_hours'?"),
        ({"priorities": ["loud"]}, "'loud' is none of normal, high, urgent"),
        ({"priorities": []}, "priorities has to be a list"),
        ({"timezone": "Europe/Berlinn"}, "write it like Europe/Berlin"),
        ({"quiet_hours": "22-7"}, "quiet_hours has to be a mapping"),
        ({"quiet_hours": {"from": 79200, "to": "07:00"}}, "from is 79200; write a time of day"),
        ({"quiet_hours": {"from": "22:00"}}, "it needs from and to"),
        ({"quiet_hours": {"from": "22:00", "to": "22:00"}}, "the same time"),
        ({"quiet_hours": {"from": "22:00", "to": "07:00", "excpet": []}}, "did you mean 'except'"),
        ({"digest": {}}, "either at or every_min"),
        ({"digest": {"every_min": 1}}, "a number from 5 to 1440"),
        ({"digest": {"at": "7:30"}}, "at is '7:30'"),
        ({"body": "no"}, "body has to be true or false"),
    ],
)
def test_each_fault_says_what_to_write_and_no_url(change: dict[str, Any], words: str) -> None:
    found = said({**PHONE, **change})
    assert words in found
    assert "geheim" not in found


def test_entries_are_mappings_with_names_of_their_own_and_the_same_for_all_hubs() -> None:
    assert "entry 1 is no mapping" in said("ntfy://geheim")
    assert "phone stands there twice" in said(PHONE, PHONE)
    assert "the hub takes 10" in said(*({**PHONE, "name": f"c{n}"} for n in range(11)))
    assert "not the same for all hubs" in said(PHONE, second=[])

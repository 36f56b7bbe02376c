"""The file of channels: what is refused, and that no refusal repeats a URL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus import channel_settings
from agent_bus.core import errors
from tests.support.receiver import SECRET

if TYPE_CHECKING:
    from pathlib import Path

PHONE = {"name": "phone", "url": "ntfys://tk_geheim77@ntfy.example.com/streng-geheim"}
DESK = {"name": "desk", "url": "https://desk.example.com/geheim", "secrets": [SECRET]}


def loaded(folder: Path, *channels: dict[str, Any]) -> tuple[channel_settings.Channel, ...]:
    path = folder / "channels.json"
    path.write_text(json.dumps({"channels": list(channels)}))
    return channel_settings.load(path)


def test_a_whole_channel_is_taken(tmp_path: Path) -> None:
    rules = {
        "priorities": ["urgent"],
        "timezone": "Europe/Berlin",
        "quiet_hours": {"from": "22:00", "to": "07:00", "except": ["urgent", "high"]},
        "digest": {"at": "07:30"},
    }
    phone, desk = loaded(tmp_path, {**PHONE, **rules}, DESK)
    assert (phone.kind, phone.queue_name) == ("ntfys", "channel.phone")
    assert phone.times.quiet is not None
    assert phone.times.quiet.excepted == {"urgent", "high"}
    assert phone.times.digest is not None
    assert phone.times.digest.excepted == {"urgent"}
    assert (desk.kind, len(desk.signed.secrets)) == ("webhook", 1)
    assert "geheim" not in repr(phone)
    assert channel_settings.load(None) == ()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"urll": "x"}, "channel phone.urll"),
        ({"url": "geheim"}, "must be scheme://"),
        ({"name": "Phone 1"}, "name"),
        ({"priorities": []}, "priorities"),
        ({"priorities": ["loud"]}, "priorities"),
        ({"timezone": "Europe/Berlinn"}, "write it like Europe/Berlin"),
        ({"timezone": "../geheim"}, "is no time zone"),
        ({"quiet_hours": {"from": "22:00", "to": "22:00"}}, "the same time"),
        ({"quiet_hours": {"from": "22:00", "to": "25:00"}}, "quiet_hours.to"),
        ({"quiet_hours": {"from": 22, "to": "07:00"}}, "quiet_hours.from"),
        ({"digest": {}}, "either at or every_min"),
        ({"digest": {"at": "07:30", "every_min": 60}}, "either at or every_min"),
        ({"digest": {"every_min": 1}}, "every_min"),
        ({"allow_private": True}, "for https:// only"),
        ({"url": "https://desk.example.com/geheim"}, "needs secrets"),
        ({"url": "https://geheim@desk.example.com/", "secrets": [SECRET]}, "user or password"),
        ({"url": "http://desk.example.com/geheim", "secrets": [SECRET]}, "allow_http"),
        ({"url": "https://desk.example.com/geheim", "secrets": ["geheim"]}, "needs secrets"),
    ],
)
def test_each_fault_is_named_without_a_url(
    tmp_path: Path, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(errors.StartupError) as raised:
        loaded(tmp_path, {**PHONE, **wrong})
    assert says in str(raised.value)
    assert "geheim" not in str(raised.value)


def test_two_channels_of_one_name_and_too_many_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.StartupError, match="the same name"):
        loaded(tmp_path, PHONE, PHONE)
    with pytest.raises(errors.StartupError, match="at most 10"):
        loaded(tmp_path, *({**PHONE, "name": f"n{number}"} for number in range(11)))


def test_apprise_itself_parses_what_it_is_to_use(tmp_path: Path) -> None:
    telegram = {"name": "telegram", "url": "tgram://123456789:abcdefg_hijklmnop/12315544"}
    channel_settings.require_apprise(loaded(tmp_path, PHONE, DESK, telegram))
    no_such = {"name": "odd", "url": "nosuch://geheim"}
    short = {"name": "short", "url": "tgram://geheim"}
    with pytest.raises(errors.StartupError) as raised:
        channel_settings.require_apprise(loaded(tmp_path, PHONE, no_such, short))
    assert [line.partition(":")[0] for line in str(raised.value).splitlines()] == [
        "channel odd",
        "channel short",
    ]
    assert "geheim" not in str(raised.value)

"""Check an inventory's webhooks and channels: what the hub would refuse is found before that.

What it finds has the form of preflight_values.py's findings.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

VARIABLE = "message_bus_webhooks"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
EVENTS = ("message", "read", "overdue")
SWITCHES = ("fleet", "body", "allow_http", "allow_private")
LISTS = ("agents", "groups", "events")
KEYS = ("name", "url", *LISTS, *SWITCHES, "ca_file")
MOST = 20
CHANNELS = "operator_channels"
CHANNEL_KEYS = (
    "name", "url", "url_file", "priorities", "timezone", "quiet_hours", "digest", "body",
    "ca_file", "allow_http", "allow_private",
)  # fmt: skip
PRIORITIES = ("normal", "high", "urgent")
MOST_CHANNELS = 10
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.")
TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
EVERY_MIN = range(5, 24 * 60 + 1)
OPERATOR = "operator"
Finding = dict[str, Any]


def webhook_findings(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return what is wrong with the webhooks, and with their being the same for all hubs."""
    hubs = list(groups.get("hub", []))
    said = {hub: hostvars[hub].get(VARIABLE) or [] for hub in hubs}
    if not any(said.values()):
        return []
    if any(one != said[hubs[0]] for one in said.values()):
        differ = f"{VARIABLE} is not the same for all hubs; set it once, in group_vars/hub.yml"
        return [{"keys": [VARIABLE], "says": differ}]
    listed = said[hubs[0]]
    if not isinstance(listed, list | tuple):
        return [{"keys": [VARIABLE], "says": f"{VARIABLE} is not a list; write `- name: ...`"}]
    known = {"agents": _agents(hostvars, hubs), "groups": _groups(hostvars[hubs[0]])}
    says = [text for number, one in enumerate(listed, 1) for text in _faults(number, one, known)]
    names = [one.get("name") for one in listed if isinstance(one, dict)]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    says += [f"{VARIABLE}: {name} stands there twice; give each its own name" for name in twice]
    if len(listed) > MOST:
        says.append(f"{VARIABLE} has {len(listed)} entries; the hub takes {MOST}")
    return [{"keys": [VARIABLE], "says": text} for text in says]


def _faults(number: int, one: object, known: Mapping[str, Iterable[str]]) -> Iterator[str]:
    if not isinstance(one, dict):
        yield f"{VARIABLE}: entry {number} is {one!r}; write a mapping with `name:` and `url:`"
        return
    name = one.get("name")
    at = f"webhook {name}" if name else f"{VARIABLE}: entry {number}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield f"{at}: its name has to be a word of letters a-z, digits, - and _"
    for key in one:
        if key not in KEYS:
            nearly = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"; did you mean {nearly[0]!r}?" if nearly else f"; there are {', '.join(KEYS)}"
            yield f"{at}: {key!r} is unknown{hint}"
    for key in SWITCHES:
        if not isinstance(one.get(key, False), bool):
            yield f"{at}: {key} has to be true or false"
    for key in LISTS:
        if not isinstance(one.get(key, []), list | tuple):
            yield f"{at}: {key} has to be a list"
            return
    yield from (f"{at}: {text}" for text in _address(one))
    yield from (f"{at}: {text}" for text in _choice(one, known))
    file = one.get("ca_file")
    if file and not _is_authority(Path(str(file))):
        yield f"{at}: ca_file {file} on this machine is no file with a certificate (PEM)"


def _address(one: Mapping[str, Any]) -> Iterator[str]:
    url = str(one.get("url") or "")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        yield f"url {url!r} is none: {error}"
        return
    if parts.scheme not in {"https", "http"} or not host:
        yield f"url {url!r} is not like https://host/path"
    elif parts.username or parts.password:
        yield "its url holds a user or password; leave them out, because requests are signed"
    elif parts.scheme == "http" and not one.get("allow_http"):
        yield "http:// sends everything in clear; use https://, or set allow_http: true"


def _choice(one: Mapping[str, Any], known: Mapping[str, Iterable[str]]) -> Iterator[str]:
    named = bool(one.get("agents") or one.get("groups"))
    if bool(one.get("fleet")) == named:
        yield "set either `fleet: true`, or agents and groups"
    for key in ("agents", "groups"):
        for name in one.get(key) or []:
            if name not in known[key]:
                nearly = difflib.get_close_matches(str(name), list(known[key]), n=1)
                hint = f"; did you mean {nearly[0]!r}?" if nearly else ""
                yield f"{key[:-1]} {name!r} is not in the inventory{hint}"
    for event in one.get("events", ["message"]) or [None]:
        if event not in EVENTS:
            yield f"event {event!r} is none of {', '.join(EVENTS)}"


def _agents(hostvars: Mapping[str, Mapping[str, Any]], hubs: Sequence[str]) -> list[str]:
    """Return all agents of the inventory, those of guests and the operator among them."""
    guests = hostvars[hubs[0]].get("guests")
    lists = [
        *(hostvars[host].get("agents") for host in hostvars),
        *(
            guest.get("agents") if isinstance(guest, dict) else guest
            for guest in (guests.values() if isinstance(guests, dict) else ())
        ),
    ]
    agents = [agent for listed in lists if isinstance(listed, list | tuple) for agent in listed]
    names = [agent.get("name") if isinstance(agent, dict) else agent for agent in agents]
    return [OPERATOR, *map(str, names)]


def _groups(hub: Mapping[str, Any]) -> list[str]:
    listed = hub.get("message_bus_agent_groups") or hub.get("agent_groups") or {}
    return list(map(str, listed)) if isinstance(listed, dict) else []


def _is_authority(path: Path) -> bool:
    try:
        return path.is_absolute() and "BEGIN CERTIFICATE" in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def channel_findings(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return what is wrong with the operator's channels; no text repeats a URL."""
    hubs = list(groups.get("hub", []))
    said = {hub: hostvars[hub].get(CHANNELS) or [] for hub in hubs}
    if not any(said.values()):
        return []
    if any(one != said[hubs[0]] for one in said.values()):
        differ = f"{CHANNELS} is not the same for all hubs; set it once, in group_vars/all.yml"
        return [{"keys": [CHANNELS], "says": differ}]
    listed = said[hubs[0]]
    if not isinstance(listed, list | tuple):
        return [{"keys": [CHANNELS], "says": f"{CHANNELS} is not a list; write `- name: ...`"}]
    says = [text for number, one in enumerate(listed, 1) for text in _channel(number, one)]
    names = [one.get("name") for one in listed if isinstance(one, dict)]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    says += [f"{CHANNELS}: {name} stands there twice; give each its own name" for name in twice]
    if len(listed) > MOST_CHANNELS:
        says.append(f"{CHANNELS} has {len(listed)} entries; the hub takes {MOST_CHANNELS}")
    return [{"keys": [CHANNELS], "says": text} for text in says]


def _channel(number: int, one: object) -> Iterator[str]:
    if not isinstance(one, dict):
        yield f"{CHANNELS}: entry {number} is no mapping; write one with `name:` and `url:`"
        return
    name = one.get("name")
    at = f"channel {name}" if isinstance(name, str) else f"{CHANNELS}: entry {number}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield f"{at}: its name has to be a word of letters a-z, digits, - and _"
    yield from (f"{at}: {text}" for text in _unknown(one, CHANNEL_KEYS))
    yield from (f"{at}: {text}" for text in _target(one))
    yield from (f"{at}: {text}" for text in _priorities(one, "priorities"))
    yield from (f"{at}: {text}" for text in _times(one))
    for key in ("body", "allow_http", "allow_private"):
        if not isinstance(one.get(key, False), bool):
            yield f"{at}: {key} has to be true or false"


def _unknown(one: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    for key in one:
        if key not in keys:
            nearly = difflib.get_close_matches(str(key), keys, n=1)
            hint = f"; did you mean {nearly[0]!r}?" if nearly else f"; there are {', '.join(keys)}"
            yield f"{key!r} is unknown{hint}"


def _target(one: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with where a channel goes; the URL is a secret."""
    url, file = one.get("url"), one.get("url_file")
    if bool(url) == bool(file):
        yield "set either url or url_file"
        return
    if file:
        path = Path(str(file))
        try:
            url = path.read_text(encoding="utf-8").strip() if path.is_absolute() else ""
        except (OSError, UnicodeDecodeError):
            url = ""
        if not url:
            yield f"url_file {file} on this machine is no file with a URL; give its whole path"
            return
    if not SCHEME.match(str(url)) or len(str(url).split()) > 1:
        yield "its url is not like scheme://..., such as ntfys://TOKEN@host/topic"
        return
    is_signed = str(url).lower().startswith(("https://", "http://"))
    if is_signed and file:
        yield "a signed webhook (https://) is set by url, not by url_file: its secret is made here"
    elif is_signed:
        yield from (
            "its url is not like https://host/path" if text.startswith("url ") else text
            for text in _address(one)
        )
    elif any(one.get(key) for key in ("ca_file", "allow_http", "allow_private")):
        yield "ca_file, allow_http and allow_private are for https:// only"
    ca_file = one.get("ca_file")
    if is_signed and ca_file and not _is_authority(Path(str(ca_file))):
        yield f"ca_file {ca_file} on this machine is no file with a certificate (PEM)"


def _priorities(one: Mapping[str, Any], key: str, *, least: int = 1) -> Iterator[str]:
    listed = one.get(key)
    if listed is None:
        return
    if not isinstance(listed, list | tuple) or len(listed) < least:
        yield f"{key} has to be a list of {', '.join(PRIORITIES)}"
        return
    for value in listed:
        if value not in PRIORITIES:
            yield f"{key}: {value!r} is none of {', '.join(PRIORITIES)}"


def _times(one: Mapping[str, Any]) -> Iterator[str]:
    zone = one.get("timezone", "UTC")
    try:
        zoneinfo.ZoneInfo(str(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield f"timezone {zone!r} is none; write it like Europe/Berlin"
    for key, keys in (("quiet_hours", ("from", "to")), ("digest", ("at", "every_min"))):
        part = one.get(key)
        if part is None:
            continue
        if not isinstance(part, dict):
            yield f'{key} has to be a mapping, such as {{{keys[0]}: "07:30"}}'
            continue
        yield from (f"{key}: {text}" for text in _unknown(part, (*keys, "except")))
        yield from (f"{key}: {text}" for text in _priorities(part, "except", least=0))
        yield from (f"{key}: {text}" for text in _clock(part, keys))


def _clock(part: Mapping[str, Any], keys: Sequence[str]) -> Iterator[str]:
    for key in ("from", "to", "at"):
        value = part.get(key)
        if value is not None and not (isinstance(value, str) and TIME.fullmatch(value)):
            yield f'{key} is {value!r}; write a time of day in quotes, such as "07:30"'
    if keys == ("from", "to"):
        if part.get("from") is None or part.get("to") is None:
            yield "it needs from and to"
        elif part["from"] == part["to"]:
            yield "from and to are the same time"
        return
    every = part.get("every_min")
    if (part.get("at") is None) == (every is None):
        yield "set either at or every_min"
    elif every is not None and (not isinstance(every, int) or every not in EVERY_MIN):
        yield f"every_min is {every!r}; it has to be a number from 5 to 1440"


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"webhook_findings": webhook_findings, "channel_findings": channel_findings}

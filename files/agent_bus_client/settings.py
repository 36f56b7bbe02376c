"""node.json: what Ansible wrote about this node, read once and checked completely.

It holds no secrets: `read_secret` reads those from systemd's credentials folder.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from agent_bus_client import agents
from agent_bus_client.agents import Agent, check_unknown
from agent_bus_client.errors import SettingsError
from agent_bus_client.net.http1 import Origin

DEFAULT_PATH = "/etc/agent-bus/node.json"
HOOK_MODES = ("wake", "agent")


def _setting(default: Any, doc: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class Settings:
    """The whole of node.json; the reference page is made from the fields' `metadata`."""

    node: str = field(metadata={"doc": "the node's name in the inventory"})
    hub_url: str = field(
        metadata={
            "doc": "base address of the hub, `http://host:port` or `https://host:port`; of one of"
            " them where `hub_urls` is set, and then it may be left out"
        }
    )
    agents: tuple[Agent, ...] = field(
        metadata={"doc": "`[{name, waker, ...}]`, at least one; see below what each waker takes"}
    )
    gateway_url: str = _setting("http://127.0.0.1:18789", "the node's own OpenClaw gateway")
    hooks_path: str = _setting("/hooks", "`hooks.path` of the gateway")
    openclaw_config: str | None = _setting(
        None, "the gateway's settings file, for `doctor`; without it `~/.openclaw/openclaw.json`"
    )
    hook_mode: str = _setting(
        "wake",
        "`wake`, or `agent` for gateways older than 2026.8.1, whose wake hook has no agents",
    )
    wake_min_interval_s: float = _setting(
        12.0,
        "at most one accepted wake per agent in this time (OpenClaw: 5 turns in 60 s); a quarter"
        " of it for a gateway that has shown that it does not put turns off",
    )
    escalate_after_s: float = _setting(
        12.0, "if still unfetched after this time: wake once through the mapped agent hook"
    )
    rewake_after_s: float = _setting(
        60.0,
        "if still unfetched: wake again after this, doubling up to `rewake_max_s`; then overdue",
    )
    rewake_max_s: float = _setting(1800.0, "longest time between two wakes for unfetched mail")
    reminder_after_s: float = _setting(
        900.0, "if fetched but not read: remind after this, doubling, at most 5 times"
    )
    stagger_s: float = _setting(
        0.25, "pause between the wakes of the node's agents at a broadcast"
    )
    presence_interval_s: float = _setting(
        30.0, "how often the node tells the hub that it is alive"
    )
    command_timeout_s: float = _setting(30.0, "a waker's command that runs longer is killed")
    turn_dir: str = _setting(
        "/run/agent-bus/turns",
        "folder of the sockets of agents with waker `claude-code` or `codex`",
    )
    state_dir: str = _setting("/var/lib/bus-watcher", "folder of cursor.json")
    outbox_dir: str = _setting(
        "/var/lib/agent-bus/outbox", "folder of messages that wait for the hub, see the CLI"
    )
    hub_ca_file: str | None = _setting(
        None, "CA certificate that an https hub is verified by; without it the system's own"
    )
    hub_urls: tuple[str, ...] = _setting(
        (), "base addresses of all hubs, where there are several; the order does not matter"
    )

    @property
    def agent_names(self) -> tuple[str, ...]:
        """All agents of the node, in the order of the file."""
        return tuple(agent.name for agent in self.agents)

    @property
    def hubs(self) -> tuple[str, ...]:
        """Base addresses of all hubs, in the order of the file."""
        return self.hub_urls or (self.hub_url,)


def load(path: Path) -> Settings:
    """Return the checked settings.

    Raises:
        SettingsError: names every problem of the file, one per line.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: one JSON object is expected")
    problems: list[str] = []
    settings = parse(raw, problems)
    if settings is None:
        raise SettingsError("\n".join(f"{path}: {problem}" for problem in problems))
    return settings


def parse(raw: dict[str, Any], problems: list[str]) -> Settings | None:
    """Return the settings, or None with what is wrong appended to `problems`."""
    known = {item.name: item for item in fields(Settings)}
    check_unknown("", raw, tuple(known), problems)
    if isinstance(raw.get("hub_urls"), list) and raw["hub_urls"]:
        raw = {"hub_url": raw["hub_urls"][0], **raw}
    required = ("node", "hub_url", "agents")
    problems.extend(f"{name} is missing" for name in required if name not in raw)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        if name == "agents":
            values[name] = agents.parse(value, problems)
        elif name == "hub_urls":
            values[name] = _addresses(name, value, problems)
        elif name in known:
            values[name] = _scalar(name, value, str(known[name].type), problems)
    if values.get("hook_mode", "wake") not in HOOK_MODES:
        problems.append(f"hook_mode is {values['hook_mode']!r}: use wake or agent")
    _check_addresses(values, problems)
    return None if problems else Settings(**values)


def _check_addresses(values: dict[str, Any], problems: list[str]) -> None:
    for name in ("hub_url", "gateway_url"):
        if isinstance(values.get(name), str):
            try:
                Origin.parse(values[name])
            except SettingsError as error:
                problems.append(f"{name}: {error}")
    if values.get("hub_urls") and values["hub_url"] not in values["hub_urls"]:
        problems.append(f"hub_url is {values['hub_url']!r}: it is not among hub_urls")


def _scalar(name: str, value: Any, kind: str, problems: list[str]) -> Any:  # noqa: ANN401 - JSON
    if kind == "float":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            problems.append(f"{name} is {value!r}: a number of seconds is expected")
            return 0.0
        return float(value)
    if not (isinstance(value, str) and value) and not (value is None and "None" in kind):
        problems.append(f"{name} is {value!r}: a string is expected")
    return value


def _addresses(name: str, raw: Any, problems: list[str]) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    if not isinstance(raw, list) or not raw or not all(isinstance(url, str) for url in raw):
        problems.append(f"{name}: a list with at least one address is expected")
        return ()
    for number, url in enumerate(raw):
        try:
            Origin.parse(url)
        except SettingsError as error:
            problems.append(f"{name}[{number}]: {error}")
        if url in raw[:number]:
            problems.append(f"{name}[{number}]: {url} is listed twice")
    return tuple(raw)


def read_secret(name: str) -> str:
    """Return one credential that systemd gave to this service (`LoadCredential=`).

    Raises:
        SettingsError: it is missing or empty.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise SettingsError(f"no CREDENTIALS_DIRECTORY: systemd's LoadCredential= gives {name}")
    return read_token_file(Path(folder) / name)


def read_token_file(path: Path) -> str:
    """Return the token in a one-line file.

    Raises:
        SettingsError: it cannot be read, or is not one line of printable ASCII.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError(f"{path}: {reason}") from error
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(f"{path}: one line with the token is expected")
    return token

"""node.json: what Ansible wrote about this node, read once and checked completely.

It holds no secrets: `read_secret` reads those from systemd's credentials folder.
"""

from __future__ import annotations

import json
import os

from agent_bus_client import agents
from agent_bus_client.agents import check_unknown
from agent_bus_client.errors import NoTokenError, SettingsError
from agent_bus_client.net.http1 import Origin
from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any

    from agent_bus_client.agents import Agent

DEFAULT_PATH = "/etc/agent-bus/node.json"
TOKENS = "/etc/agent-bus/cli"
"""Has one file per user that may use the bus."""
OF_USER = ".token"
HOOK_MODES = ("wake", "agent")


class Settings(Record):
    """The whole of node.json; the reference page is made from the words below each field."""

    node: str
    """the node's name in the inventory"""
    hub_url: str
    """base address of the hub, `http://host:port` or `https://host:port`; of one of them where
    `hub_urls` is set, and then it may be left out"""
    agents: tuple[Agent, ...]
    """`[{name, waker, ...}]`, at least one; see below what each waker takes"""
    gateway_url: str = "http://127.0.0.1:18789"
    """the node's own OpenClaw gateway"""
    hooks_path: str = "/hooks"
    """`hooks.path` of the gateway"""
    openclaw_config: str | None = None
    """the gateway's settings file, for `doctor`; without it `~/.openclaw/openclaw.json`"""
    hook_mode: str = "wake"
    """`wake`, or `agent` for gateways older than 2026.8.1, whose wake hook has no agents"""
    wake_min_interval_s: float = 12.0
    """at most one accepted wake per agent in this time (OpenClaw: 5 turns in 60 s); a quarter of
    it for a gateway that has shown that it does not put turns off"""
    escalate_after_s: float = 12.0
    """if still unfetched after this time: wake once through the mapped agent hook"""
    rewake_after_s: float = 60.0
    """if still unfetched: wake again after this, doubling up to `rewake_max_s`; then overdue"""
    rewake_max_s: float = 1800.0
    """longest time between two wakes for unfetched mail"""
    reminder_after_s: float = 900.0
    """if fetched but not read: remind after this, doubling, at most 5 times"""
    stagger_s: float = 0.25
    """pause between the wakes of the node's agents at a broadcast"""
    presence_interval_s: float = 30.0
    """how often the node tells the hub that it is alive"""
    command_timeout_s: float = 30.0
    """a waker's command that runs longer is killed"""
    turn_dir: str = "/run/agent-bus/turns"
    """folder of the sockets of agents with waker `claude-code` or `codex`"""
    state_dir: str = "/var/lib/bus-watcher"
    """folder of cursor.json"""
    outbox_dir: str = "/var/lib/agent-bus/outbox"
    """folder of messages that wait for the hub, see the CLI"""
    hub_ca_file: str | None = None
    """CA certificate that an https hub is verified by; without it the system's own"""
    hub_urls: tuple[str, ...] = ()
    """base addresses of all hubs, where there are several; the order does not matter"""

    @property
    def agent_names(self) -> tuple[str, ...]:
        """All agents of the node, in the order of the file."""
        return tuple(agent.name for agent in self.agents)

    def own_token_file(self, agent: str | None) -> str:
        """Where an agent of the node has its own token; empty if it has none."""
        return next((one.token_file for one in self.agents if one.name == agent), "")

    @property
    def hubs(self) -> tuple[str, ...]:
        """Base addresses of all hubs, in the order of the file."""
        return self.hub_urls or (self.hub_url,)


def load(path: str | PathLike[str]) -> Settings:
    """Return the checked settings.

    Raises:
        SettingsError: names every problem of the file, one per line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            raw = json.load(file)
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
    known = Settings.__annotations__
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
            values[name] = _scalar(name, value, known[name], problems)
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
    return read_token_file(os.path.join(folder, name))


def read_token_of(user: str) -> str:
    """Return the token of a user of this machine.

    Raises:
        NoTokenError: this user has none; root has none, for example.
        SettingsError: it cannot be used; the message says why.
    """
    own = os.path.join(TOKENS, user + OF_USER)
    if not os.path.exists(own):
        try:
            names = os.listdir(TOKENS)
        except OSError:
            names = []
        owners = [name[: -len(OF_USER)] for name in names if name.endswith(OF_USER)]
        raise NoTokenError(user, sorted(owners))
    return read_token_file(own)


def read_token_for(agent: str | None, user: str, settings: Settings) -> str:
    """Return the token that speaks for an agent, or asks what concerns none of them.

    Raises:
        NoTokenError: this user may not read it.
        SettingsError: it cannot be used; the message says why.
    """
    path = settings.own_token_file(agent)
    if path:
        if os.path.exists(path) and not os.access(path, os.R_OK):
            raise NoTokenError(user, [owner_of(path)], agent=str(agent))
        return read_token_file(path)
    try:
        return read_token_of(user)
    except NoTokenError:
        # Who runs an agent with a token of its own needs no other one.
        for one in settings.agents:
            if agent is None and one.token_file and os.access(one.token_file, os.R_OK):
                return read_token_file(one.token_file)
        raise


def writers_of(settings: Settings) -> dict[str, int]:
    """Return the user (number) of each agent that has a token of its own and a file with it."""
    found = {}
    for one in settings.agents:
        if one.token_file:
            try:
                found[one.name] = os.stat(one.token_file).st_uid
            except OSError:
                found[one.name] = 0  # only root's: nobody may speak for it by this token
    return found


def owner_of(path: str) -> str:
    """Return the name of a file's owner; his number if he has none."""
    import pwd  # only a mistake pays for it

    number = os.stat(path).st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def read_token_file(path: str | PathLike[str]) -> str:
    """Return the token in a one-line file.

    Raises:
        SettingsError: it cannot be read, or is not one line of printable ASCII.
    """
    try:
        with open(path, encoding="utf-8") as file:
            token = file.read().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError(f"{path}: {reason}") from error
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(f"{path}: one line with the token is expected")
    return token

"""What every verb needs: settings, the hub, who is asking, and where answers go."""

from __future__ import annotations

import json
import os
import sys
import time

from agent_bus_client import settings as node_settings
from agent_bus_client.errors import SettingsError, UsageError
from agent_bus_client.hub.transport import HubClient
from agent_bus_client.net.deadline import Deadline
from agent_bus_client.outbox.folder import Outbox
from agent_bus_mcp.words import text

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from typing import Any

    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.settings import Settings

ANSWER_S = 9.0  # an agent's exec tool puts what runs for 10 s into the background
ONE_MORE_TRY_S = 1.0  # a call takes milliseconds while the hub is there
OPERATOR = "operator"
USER_VARIABLES = ("LOGNAME", "USER", "LNAME", "USERNAME")
WORKSPACE = "workspace-"  # OpenClaw's name for an agent's folder begins so


class Context:
    """One call of the command line."""

    def __init__(self, options: argparse.Namespace, *, answer_s: float | None = ANSWER_S) -> None:
        self.options = options
        path = os.environ.get("AGENT_BUS_CONFIG", node_settings.DEFAULT_PATH)
        self.settings = node_settings.load(path)
        self.outbox = Outbox(self.settings.outbox_dir)
        self.deadline = None if answer_s is None else Deadline.after(answer_s)
        self.hub = self.hub_for(self.token)

    def hub_for(self, token: Callable[[], str]) -> HubClient | Hubs:
        """Return the hub, or all of them, as a token sees it."""
        if len(self.settings.hubs) == 1:
            url, ca_file = self.settings.hub_url, self.settings.hub_ca_file
            return HubClient(url, token, ca_file=ca_file, deadline=self.deadline)
        from agent_bus_client.hub.hubs import Hubs  # only a fleet of several hubs pays for it

        return Hubs.of(self.settings, token, deadline=self.deadline)

    def token(self) -> str:
        """Return the token of who is asking, or of this user where that cannot be told.

        Raises:
            NoTokenError: this user may not read it, or has none: root, for example.
            SettingsError: it cannot be used; the message says why.
        """
        return read_token(self.settings, self._asking())

    @property
    def token_words(self) -> str:
        """Which token that is."""
        agent = self._asking()
        if os.environ.get("AGENT_BUS_TOKEN_FILE"):
            return "the token of AGENT_BUS_TOKEN_FILE"
        own = bool(agent and self.settings.own_token_file(agent))
        return f"{agent}'s own token" if own else "the node's token"

    def _asking(self) -> str | None:
        """Return the agent that is asking; None where that cannot be told."""
        try:
            return self.agent
        except UsageError:
            return None

    @property
    def agent(self) -> str:
        """The agent that is asking.

        Raises:
            UsageError: it is none of this node's agents, or it cannot be told which.
        """
        return identify(
            self.options.agent, os.environ, _folder(), agents=self.settings.agent_names
        )

    def has_time(self) -> bool:
        """Tell whether enough time is left for one more try."""
        return self.deadline is None or self.deadline.left_s() >= ONE_MORE_TRY_S

    def now(self) -> float:
        """Return the hub's time (epoch seconds); before its first answer, this machine's."""
        date = text.parse_http_date(self.hub.date)
        here = time.time()
        # The header has whole seconds: up to 2 s of difference are rounding, not another clock.
        return here if date is None or abs(date - here) <= 2 else date  # noqa: PLR2004

    def answer(self, facts: Any, words: str) -> None:  # noqa: ANN401 - decoded JSON
        """Print `facts` with --json, otherwise one page of `words`."""
        print(json.dumps(facts, indent=2) if self.options.json else text.page(words))

    def tell_failures(self) -> None:
        """Tell the sender once, on stderr, which messages the outbox has given up."""
        failed = self.outbox.failed()
        try:
            agent = self.agent if failed else ""
        except UsageError:
            return  # a question that needs no identity
        if agent:
            from agent_bus_client.outbox.delivery import failure_words
        for entry in failed:
            words = failure_words(self.outbox, entry) if entry.sender == agent else None
            if words:
                print(words, file=sys.stderr)


def identify(
    wanted: str | None, environment: Mapping[str, str], folder: str, *, agents: tuple[str, ...]
) -> str:
    """Return who is asking: --as, AGENT_BUS_AGENT, the workspace folder, the node's only agent.

    Raises:
        UsageError: the agent is not on this node, or nothing tells which one it is.
    """
    named = wanted or environment.get("AGENT_BUS_AGENT")
    if named:
        if named not in agents and named != OPERATOR:
            known = ", ".join(agents)
            raise UsageError(f"{named} is not an agent of this node; its agents: {known}")
        return str(named)
    found = _agent_of(folder, agents, profile=environment.get("OPENCLAW_PROFILE"))
    if found:
        return found
    if len(agents) == 1:
        return agents[0]
    raise UsageError(f"which agent are you? Add --as with one of: {', '.join(agents)}")


def _agent_of(folder: str, agents: tuple[str, ...], *, profile: str | None) -> str | None:
    """Return the agent whose workspace the folder is in; None if that cannot be told.

    A workspace is in OpenClaw's own folder. Elsewhere a name is only a hint, and the outermost one
    counts: deeper ones belong to some repository.

    Raises:
        UsageError: it is the workspace of an agent that is not on the bus.
    """
    parts = folder.split("/")
    for above, name in zip(parts, parts[1:]):
        if not (above == ".openclaw" or above.startswith(".openclaw-")):
            continue
        # main's, or a default agent's of another name; older releases put a profile's there
        if name == "workspace" or (profile and name == f"{WORKSPACE}{profile}"):
            return "main" if "main" in agents else None
        if name.startswith(WORKSPACE):
            own = name[len(WORKSPACE) :]
            if own in agents:
                return own
            known = ", ".join(agents)
            raise UsageError(
                f"{own} is not on the bus here; its agents: {known} (say which with --as)"
            )
    for name in parts:
        if name.startswith(WORKSPACE) and name[len(WORKSPACE) :] in agents:
            return name[len(WORKSPACE) :]
    return "main" if "workspace" in parts and "main" in agents else None


def read_token(settings: Settings | None = None, agent: str | None = None) -> str:
    """Return the token of an agent of this node; without settings or agent, of this user.

    Raises:
        NoTokenError: this user may not read it, or has none: root, for example.
        SettingsError: it cannot be used; the message says why.
    """
    path = os.environ.get("AGENT_BUS_TOKEN_FILE")
    if path:
        return node_settings.read_token_file(path)
    if settings is None:
        return node_settings.read_token_of(_user())
    return node_settings.read_token_for(agent, _user(), settings)


def _user() -> str:
    """Return who runs this, as `getpass.getuser` does, which loads more than it needs for that.

    Raises:
        SettingsError: neither the environment nor the system has a name.
    """
    named = next(filter(None, map(os.environ.get, USER_VARIABLES)), None)
    if named:
        return named
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError as error:
        raise SettingsError("this user has no name; set AGENT_BUS_TOKEN_FILE") from error


def read_body(argument: str | None) -> str:
    """Return the body: the argument, or standard input for `-` or none.

    Raises:
        UsageError: there is nothing, or it is not UTF-8.
    """
    if argument is not None and argument != "-":
        return argument
    if argument is None and sys.stdin.isatty():
        raise UsageError('the body is missing: put it behind the recipient, or "-" for stdin')
    try:
        body = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the body is not UTF-8: {error}") from error
    if not body.strip():
        raise UsageError("the body is empty")
    return body


def _folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"

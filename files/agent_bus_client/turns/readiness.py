"""Whether a turn of an agent could be started by this user now, and what to do if not."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path
from types import MappingProxyType

from agent_bus_client.errors import SettingsError
from agent_bus_client.record import Record
from agent_bus_client.turns import environment
from agent_bus_client.turns.runtimes import RUNTIMES

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_bus_client.agents import Agent, Turns

TOKENS = Path("/etc/agent-bus/cli")
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
SITE = "run the site playbook for this node"


class Readiness(Record):
    """What a turn needs, or why there can be none.

    Attributes:
        reason: short, for the hub's page; empty if all is well.
        fix: what the operator has to do.
        program: its whole path.
        environment: of the turn.
    """

    reason: str = ""
    fix: str = ""
    program: str = ""
    environment: Mapping[str, str] = MappingProxyType({})


def token_file(own: str, user: str, *, tokens: Path = TOKENS) -> Path:
    """The file with the token for a turn: the agent's own, if it has one, or else the user's."""
    return Path(os.environ.get("AGENT_BUS_TOKEN_FILE") or own or tokens / f"{user}.token")


def look(agent: Agent, turns: Turns, *, tokens: Path = TOKENS) -> Readiness:
    """Check user, folder, environment, token and program; nothing is started."""
    try:
        user = pwd.getpwnam(turns.user)
        variables = environment.of(user, turns.environment_file)
    except KeyError:
        advice = f"make it, or correct user of {agent.name}"
        return Readiness(f"there is no user {turns.user}", advice)
    except SettingsError as error:
        return Readiness("environment file cannot be used", f"mend it: {error}")
    token = token_file(agent.token_file, turns.user, tokens=tokens)
    trouble = _folder(Path(turns.folder))
    if os.geteuid() != user.pw_uid:
        found = Readiness(f"runs as another user than {turns.user}", SITE)
    elif trouble:
        advice = f"make it a folder in which {turns.user} can write"
        found = Readiness(f"folder {turns.folder} {trouble}", advice)
    elif not os.access(token, os.R_OK):
        found = Readiness(f"{turns.user} cannot read {token}", SITE)
    else:
        found = _program(agent, turns, variables)
    return found


def _program(agent: Agent, turns: Turns, variables: dict[str, str]) -> Readiness:
    name = turns.program or RUNTIMES[agent.waker].program
    folders = variables.get("PATH", os.defpath)
    program = shutil.which(name, path=folders)
    if program is not None:
        return Readiness("", "", program, variables)
    where = "cannot be executed" if os.sep in name else f"is not in {folders}"
    advice = f"install it for {turns.user}, or set program of {agent.name} to its whole path"
    return Readiness(f"program {name} {where}", advice)


def version_trouble(agent: Agent, ready: Readiness, *, timeout_s: float) -> str:
    """Run the program for its version; return what is wrong with that, or nothing.

    It takes the program's start, 0.3 to 1 s, so wakes do without.
    """
    command = [ready.program, "--version"]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    try:
        done = subprocess.run(
            command,
            env=ready.environment,
            stdin=null,
            stdout=pipe,
            stderr=null,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{ready.program} does not tell its version: {error}"
    found = VERSION.search(done.stdout.decode("utf-8", "replace"))
    oldest = RUNTIMES[agent.waker].oldest
    if found is None:
        return f"{ready.program} does not tell its version"
    if tuple(map(int, found.groups())) < oldest:
        made_for = ".".join(map(str, oldest))
        return f"{ready.program} is {found[0]}; this was made for {made_for} and newer"
    return ""


def _folder(folder: Path) -> str:
    try:
        mode = folder.stat().st_mode
    except OSError as error:
        return f"cannot be used ({error.strerror})"
    if not stat.S_ISDIR(mode):
        return "is no folder"
    return "" if os.access(folder, os.W_OK | os.X_OK) else "is not writable"

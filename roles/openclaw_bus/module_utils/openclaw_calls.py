"""Calls to an OpenClaw that was found: its command, its settings file, its gateway.

The command runs as the gateway's user, but never through that user's login shell: nologin would
do nothing, and fish does not read POSIX. What a call answers counts only once it was read back.
Python 3.9, standard library.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pwd
    from collections.abc import Iterator

    from roles.openclaw_bus.module_utils.openclaw_host import (
        NOT_FOR_COMMANDS,
        OWN_PATHS,
        SYSTEM_PATH,
        Known,
    )
else:
    from ansible.module_utils.openclaw_host import NOT_FOR_COMMANDS, OWN_PATHS, SYSTEM_PATH

COMMAND_TIMEOUT_S = 120
RELOAD_TIMEOUT_S = 15
TAKES_WAKES, NO_GATEWAY = 400, -1


class RefusedError(Exception):
    """OpenClaw's own checks do not pass what is to be written, or it was not written."""


class Version(NamedTuple):
    """What `openclaw --version` has said; `numbers` is empty when that was no version."""

    numbers: tuple[int, ...]
    trouble: str


class OpenClaw:
    """The user's OpenClaw; where its files are and where it listens was found before."""

    def __init__(self, user: pwd.struct_passwd, command: str, known: Known) -> None:
        self._user = user
        self._command = command
        self._known = known
        self.config = known.config

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the openclaw command as its user, with the environment of its gateway.

        Raises:
            FileNotFoundError: there is no such command.
        """
        environment = self._environment()
        return subprocess.run(
            [*self._program(environment["PATH"]), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=COMMAND_TIMEOUT_S,
            cwd=self._folder(),
            env=environment,
            user=self._user.pw_uid,
            group=self._user.pw_gid,
        )

    def version(self) -> Version:
        """Return the command's version; without one, why it is not to be relied on."""
        try:
            result = self.run("--version")
        except OSError as error:
            return Version((), f"there is no command {self._command} ({error.strerror})")
        numbers = parse_version(result.stdout)
        if result.returncode == 0 and numbers:
            return Version(numbers, "")
        said = (result.stdout + result.stderr).strip()[-300:] or "nothing"
        code = result.returncode
        return Version((), f"{self._command} --version ended with {code} and said: {said}")

    def settings(self) -> dict[str, Any] | None:
        """Return the parsed settings; None when they have comments (JSON5) or include files.

        OpenClaw's writer drops comments, and what its reader shows cannot be written back.
        """
        try:
            parsed = json.loads(self.config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            return None
        return None if "$include" in parsed or "$include" in parsed.get("hooks", {}) else parsed

    def patch(self, hooks: dict[str, Any]) -> None:
        """Lay `hooks` over the settings.

        Raises:
            RefusedError: OpenClaw does not take them, or the file does not have them afterwards.
        """
        descriptor, name = tempfile.mkstemp(prefix="agent-bus-", suffix=".json")  # 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"hooks": hooks}, file)
            result = self.run("config", "patch", "--file", name)
        finally:
            Path(name).unlink()
        said = (result.stdout + result.stderr).strip()
        if result.returncode == 0:
            validated = self.run("config", "validate", "--json")
            if validated.returncode != 0:
                said, result = (validated.stdout + validated.stderr).strip(), validated
        if result.returncode != 0:
            raise RefusedError(f"OpenClaw does not take the bus's settings: {said}")
        found = (self.settings() or {}).get("hooks") or {}
        missing = sorted(key for key, value in hooks.items() if found.get(key) != value)
        if missing:
            raise RefusedError(
                f"openclaw config patch ended with 0, but {self.config} does not have"
                f" {', '.join('hooks.' + key for key in missing)} afterwards. It said:"
                f" {said or 'nothing'}. Set openclaw_bus_state_dir to the folder that the gateway"
                " uses, and openclaw_bus_command to the whole path of its openclaw"
            )

    def place_skill(self, text: str, *, check_mode: bool) -> list[dict[str, str]]:
        """Have the skill where all agents of this gateway find it; return what differed."""
        path = self._known.skills / "agent-bus" / "SKILL.md"
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before == text:
            return []
        if not check_mode:
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".new")
            new.write_text(text, encoding="utf-8")
            new.replace(path)  # the gateway watches this folder: never half a file
        name = str(path)
        return [{"before": before, "after": text, "before_header": name, "after_header": name}]

    def remove_skill(self, *, check_mode: bool) -> bool:
        """Take the skill away; tell whether it was there."""
        folder = self._known.skills / "agent-bus"
        there = folder.is_dir()
        if there and not check_mode:
            shutil.rmtree(folder)
        return there

    def _environment(self) -> dict[str, str]:
        given = {
            name: value
            for name, value in self._known.environment.items()
            if not NOT_FOR_COMMANDS.match(name)
        }
        home = Path(self._user.pw_dir)
        own = [str(folder) for place in OWN_PATHS for folder in sorted(home.glob(place))]
        path = ":".join(filter(None, [given.get("PATH", ""), *own, SYSTEM_PATH]))
        return {
            "HOME": self._user.pw_dir,
            "SHELL": "/bin/sh",
            **given,
            "USER": self._user.pw_name,
            "LOGNAME": self._user.pw_name,
            "PATH": path,
            "OPENCLAW_STATE_DIR": str(self._known.state_dir),
            "OPENCLAW_CONFIG_PATH": str(self.config),
        }

    def _folder(self) -> str:
        """Return where to run: a service's user may have no home, or one that is not its own."""
        home = self._user.pw_dir
        return home if os.access(home, os.X_OK, effective_ids=True) else "/"

    def _program(self, path: str) -> list[str]:
        if os.sep not in self._command and self._known.program:
            return list(self._known.program)
        found = shutil.which(self._command, path=path)
        if found is None:
            raise FileNotFoundError(2, "not found", self._command)
        return [found]


def parse_version(words: str) -> tuple[int, ...]:
    """Return the numbers in what `openclaw --version` says; empty when there are none."""
    found = re.search(r"\b(\d{4})\.(\d+)\.(\d+)", words)
    return tuple(map(int, found.groups())) if found else ()


def ask(url: str, token: str) -> int:
    """Return the gateway's answer to an empty wake, which wakes nobody.

    400 means enabled and ours, 401 another token, 404 disabled, -1 that nothing answers. Never by
    way of a proxy: the gateway is this host's own.
    """
    request = urllib.request.Request(  # noqa: S310 - http, as the inventory says
        url,
        data=b"{}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return NO_GATEWAY


def ask_until(url: str, token: str) -> int:
    """Ask until the gateway takes wakes; it reads changed settings within a second."""
    deadline = time.monotonic() + RELOAD_TIMEOUT_S
    while True:
        answer = ask(url, token)
        if answer in {TAKES_WAKES, NO_GATEWAY} or time.monotonic() > deadline:
            return answer
        time.sleep(0.5)


@contextmanager
def acting_as(user: pwd.struct_passwd) -> Iterator[None]:
    """Use the user's rights, not root's: what is in a user's folder is the user's word.

    Only for a while: what Ansible has unpacked of itself belongs to root, and is still needed.

    Raises:
        PermissionError: this process is neither root nor that user.
    """
    if os.geteuid() == user.pw_uid:
        yield
        return
    if os.geteuid() != 0:
        raise PermissionError(
            1, f"only root can act as {user.pw_name}: leave ansible_become_user at root"
        )
    groups, mask = os.getgroups(), os.umask(0o077)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.umask(mask)

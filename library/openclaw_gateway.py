"""Ansible module: have an OpenClaw gateway take the bus's wakes, and its agents know the bus.

Runs on the hosts as root, on their own Python (3.9 and newer), and acts as the gateway's user
while it looks at that user's files. What is to be changed is decided from the parsed
file and the gateway's own answer; the `openclaw` command, seconds of CPU a call, is only asked
for its version and to write.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTATION = r"""
module: openclaw_gateway
short_description: Have an OpenClaw gateway take the bus's wakes, and its agents know the bus
description:
  - Enables the hooks with the bus's token, allows them the bus's agents, and maps one hook an
    agent (`agent-bus/NAME`) for wakes that other agents' turns cannot hold up.
  - Everything else in openclaw.json stays as it is. Check mode and diff are supported.
  - Places the skill that teaches the agents the bus in the folder that they share.
  - Never fails for what the operator has to do; C(notes) says it.
options:
  user: {description: The user that runs OpenClaw., type: str, required: true}
  agents: {description: Names of the agents to wake., type: list, elements: str, required: true}
  token: {description: The token that the bus's watcher sends., type: str, required: true}
  url: {description: Where the gateway listens., type: str, required: true}
  command: {description: The openclaw command., type: str, default: openclaw}
  config: {description: The gateway's settings file., type: str, required: true}
  manage: {description: Whether to change the settings., type: bool, default: true}
  take_over:
    description: Whether to replace a hook token that others use.
    type: bool
    default: false
  skill: {description: Text of the skill; it is left as it is without., type: str}
"""

RETURN = r"""
differs: {description: As changed; a task may overrule that., type: bool}
installed: {description: Whether there is an openclaw command., type: bool}
version: {description: The version of OpenClaw; empty if unknown., type: str}
notes: {description: What the operator has to do, or should know., type: list, elements: str}
watcher_settings: {description: What the watcher has to know of this gateway., type: dict}
"""

OURS = "agent-bus-"
"""How the ids of this module's mappings begin."""
SESSION_KEY = "hook:agent-bus"  # runs with one key are taken one after the other
WAKES_BY_AGENT = (2026, 8, 1)
"""Older gateways ignore `agentId` on the wake hook and wake their default agent."""
COMMAND_TIMEOUT_S, RELOAD_TIMEOUT_S = 120, 15
TAKES_WAKES, NO_GATEWAY = 400, -1


def mapping(agent: str) -> dict[str, Any]:
    """Return the hook that starts an isolated run of an agent with a constant text.

    The text is not wrapped as untrusted (`allowUnsafeExternalContent`), since nothing of the
    request gets into it.
    """
    text = f"agent-bus: unread messages for {agent}. Run: agent-bus inbox --as {agent}"
    return {
        "id": f"{OURS}{agent}",
        "match": {"path": f"agent-bus/{agent}"},
        "action": "agent",
        "agentId": agent,
        "name": "agent-bus",
        "deliver": False,
        "sessionKey": SESSION_KEY,
        "allowUnsafeExternalContent": True,
        "messageTemplate": text,
    }


def wanted(hooks: dict[str, Any], agents: list[str], token: str) -> dict[str, Any]:
    """Return what shall be different in the `hooks` settings; empty when all is as it should be.

    The operator's own mappings stay, behind ours, as do agents and session keys that were allowed
    by name.
    """
    others = [entry for entry in hooks.get("mappings") or [] if not is_ours(entry)]
    target: dict[str, Any] = {
        "enabled": True,
        "token": token,
        "path": hooks.get("path") or "/hooks",
        "allowedAgentIds": allowed(hooks, agents, others),
        "mappings": [*map(mapping, agents), *others],
    }
    prefixes = hooks.get("allowedSessionKeyPrefixes") or []
    if prefixes and not any(SESSION_KEY.startswith(prefix.lower()) for prefix in prefixes):
        target["allowedSessionKeyPrefixes"] = [*prefixes, SESSION_KEY]
    return {key: value for key, value in target.items() if hooks.get(key) != value}


def allowed(hooks: dict[str, Any], agents: list[str], others: list[dict[str, Any]]) -> list[str]:
    """Return the agents that hooks may reach: the bus's, and those that were named already.

    Where all could be reached those stay that the operator's own mappings name.
    """
    before = hooks.get("allowedAgentIds")
    if before is None or "*" in before:
        named = [str(entry["agentId"]) for entry in others if entry.get("agentId")]
    else:
        ours = [entry["agentId"] for entry in hooks.get("mappings") or [] if is_ours(entry)]
        named = [name for name in before if name not in ours]
    return list(dict.fromkeys([*agents, *named]))


def is_ours(entry: dict[str, Any]) -> bool:
    """Tell whether this module wrote a mapping."""
    return str(entry.get("id", "")).startswith(OURS)


def parse_version(words: str) -> tuple[int, ...]:
    """Return the numbers in what `openclaw --version` says; empty when there are none."""
    found = re.search(r"\b(\d{4})\.(\d+)\.(\d+)", words)
    return tuple(map(int, found.groups())) if found else ()


def unknown_agents(settings: dict[str, Any], agents: list[str]) -> list[str]:
    """Return the agents that the gateway does not have; it then runs its default one."""
    roster = settings.get("agents") or {}
    known = {str(name).lower() for name in roster.get("entries") or {}}
    known |= {str(entry.get("id", "")).lower() for entry in roster.get("list") or []}
    return [agent for agent in agents if agent not in (known or {"main"})]


class RefusedError(Exception):
    """OpenClaw's own checks do not pass what is to be written."""


class OpenClaw:
    """The user's OpenClaw: its command, its settings file, its gateway."""

    def __init__(self, user: pwd.struct_passwd, command: str, config: Path, url: str) -> None:
        self._user = user
        self._command = command
        self._config = config
        self._url = url

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the openclaw command as its user's login shell would."""
        name, home = self._user.pw_name, self._user.pw_dir
        shell = self._user.pw_shell or "/bin/sh"
        path = "/usr/local/bin:/usr/bin:/bin"
        return subprocess.run(
            [shell, "-lc", 'exec "$0" "$@"', self._command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
            cwd=home,
            env={"HOME": home, "USER": name, "LOGNAME": name, "SHELL": shell, "PATH": path},
            user=self._user.pw_uid,
            group=self._user.pw_gid,
        )

    def version(self) -> tuple[bool, str]:
        """Tell whether the command is there, and what it says that it is."""
        result = self.run("--version")
        return result.returncode == 0, result.stdout.strip()

    def settings(self) -> dict[str, Any] | None:
        """Return the parsed settings; None when they have comments (JSON5) or include files.

        OpenClaw's writer drops comments, and what its reader shows cannot be written back.
        """
        try:
            parsed = json.loads(self._config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            return None
        return None if "$include" in parsed or "$include" in parsed.get("hooks", {}) else parsed

    def patch(self, hooks: dict[str, Any]) -> str:
        """Lay `hooks` over the settings; return what is wrong with them, or nothing."""
        descriptor, name = tempfile.mkstemp(prefix="agent-bus-", suffix=".json")  # 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"hooks": hooks}, file)
            result = self.run("config", "patch", "--file", name)
        finally:
            Path(name).unlink()
        if result.returncode == 0:
            result = self.run("config", "validate", "--json")
        return "" if result.returncode == 0 else (result.stdout + result.stderr).strip()

    def place_skill(self, text: str, *, check_mode: bool) -> list[dict[str, str]]:
        """Have the skill where all agents of this gateway find it; return what differed."""
        path = self._config.parent / "skills" / "agent-bus" / "SKILL.md"
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

    def ask(self, path: str, token: str) -> int:
        """Return the gateway's answer to an empty wake, which wakes nobody.

        400 means enabled and ours, 401 another token, 404 disabled, -1 that nothing answers.
        """
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # past any proxy
        request = urllib.request.Request(  # noqa: S310 - http, as the inventory says
            f"{self._url.rstrip('/')}{path}/wake",
            data=b"{}",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        try:
            with direct.open(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return NO_GATEWAY

    def ask_until(self, path: str, token: str) -> int:
        """Ask until the gateway takes wakes; it reads changed settings within a second."""
        deadline = time.monotonic() + RELOAD_TIMEOUT_S
        while True:
            answer = self.ask(path, token)
            if answer in {TAKES_WAKES, NO_GATEWAY} or time.monotonic() > deadline:
                return answer
            time.sleep(0.5)


UNREADABLE = (
    "it does not take wakes, and its settings file has comments or includes others; OpenClaw's own"
    " writer would drop those: docs/how-to/openclaw.md says how to go on"
)
ADVICE = {
    NO_GATEWAY: "no gateway listens there; its settings are in place, start OpenClaw",
    401: "it has another hook token than its settings file: restart OpenClaw's gateway",
    404: "it has no hooks, though its settings file has: restart OpenClaw's gateway",
}


@contextmanager
def acting_as(user: pwd.struct_passwd) -> Iterator[None]:
    """Use the user's rights, not root's: what is in a user's folder is the user's word.

    Only for a while: what Ansible has unpacked of itself belongs to root, and is still needed.
    """
    if os.geteuid() != 0:
        yield
        return
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


def obstacle(
    given: dict[str, Any], hooks: dict[str, Any], patch: dict[str, Any], *, installed: bool
) -> str:
    """Return why the settings cannot be changed, with what to do; empty when they can."""
    if not patch:
        return ""
    if not installed:
        return (
            f"there is no command {given['command']} in the login shell of {given['user']};"
            " install OpenClaw (npm install --global openclaw, openclaw onboard) or set"
            " openclaw_bus_command to where it is, then run site.yml for this host again"
        )
    if not given["manage"]:
        return f"openclaw_bus_manage_hooks is off, and these settings differ: {', '.join(patch)}"
    managed = any(is_ours(entry) for entry in hooks.get("mappings") or [])
    if hooks.get("enabled") and "token" in patch and not managed and not given["take_over"]:
        return (
            "its hooks are on with a token that something else sends; let the bus use the same"
            " (docs/how-to/openclaw.md), or replace it with -e openclaw_bus_take_over=true"
        )
    return ""


def remarks(
    settings: dict[str, Any], agents: list[str], *, version: tuple[int, ...], answer: int
) -> list[str]:
    """Return what the operator should know of a gateway whose settings are in place."""
    found = []
    if answer != TAKES_WAKES:
        found.append(ADVICE.get(answer, f"it answers {answer} to a wake: see its log"))
    if unknown := unknown_agents(settings, agents):
        names = ", ".join(unknown)
        found.append(f"it has no agent {names}; add what is missing: openclaw agents add NAME")
    if version and version < WAKES_BY_AGENT:
        found.append("it is older than 2026.8.1: each wake is an isolated run; update OpenClaw")
    return found


def bring_about(given: dict[str, Any], claw: OpenClaw, *, check_mode: bool) -> dict[str, Any]:
    """Compare, change what has to be changed, and return the module's answer.

    Raises:
        RefusedError: OpenClaw does not take the settings.
    """
    agents, token = given["agents"], given["token"]
    installed, words = claw.version()
    version = parse_version(words)
    settings = claw.settings()
    hooks = dict((settings or {}).get("hooks") or {})
    path = str(hooks.get("path") or "/hooks")
    patch = wanted(hooks, agents, token) if agents and settings is not None else {}
    hindrance = obstacle(given, hooks, patch, installed=installed)
    answer = claw.ask(path, token)
    if patch and not hindrance and not check_mode:
        trouble = claw.patch(patch)
        if trouble:
            raise RefusedError(f"OpenClaw does not take the bus's settings: {trouble}")
        answer = claw.ask_until(path, token)
    notes = [hindrance] if hindrance else []
    if settings is None and answer != TAKES_WAKES:
        notes = [UNREADABLE]
    elif settings is not None and agents and not hindrance and not (patch and check_mode):
        notes = remarks(settings, agents, version=version, answer=answer)
    watcher = {"hooks_path": path} if path != "/hooks" else {}
    if version and version < WAKES_BY_AGENT:
        watcher["hook_mode"] = "agent"
    before = {key: hooks[key] for key in patch if key in hooks}
    diffs = [{"before": shown(before), "after": shown(patch)}] if patch and not hindrance else []
    if installed and given["skill"]:
        diffs += claw.place_skill(given["skill"], check_mode=check_mode)
    return {
        "changed": bool(diffs),
        "differs": bool(diffs),
        "installed": installed,
        "version": ".".join(map(str, version)),
        "notes": notes,
        "watcher_settings": watcher,
        "diff": diffs,
    }


def shown(hooks: dict[str, Any]) -> str:
    """Return settings for a diff, without the token."""
    hidden = {**hooks, "token": "(secret)"} if "token" in hooks else hooks
    return json.dumps({"hooks": hidden}, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Become the user, bring the settings about, answer."""
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "agents": {"type": "list", "elements": "str", "required": True},
            "token": {"type": "str", "required": True, "no_log": True},
            "url": {"type": "str", "required": True},
            "command": {"type": "str", "default": "openclaw"},
            "config": {"type": "str", "required": True},
            "manage": {"type": "bool", "default": True},
            "take_over": {"type": "bool", "default": False},
            "skill": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        user = pwd.getpwnam(given["user"])
    except KeyError:
        module.fail_json(msg=f"there is no user {given['user']}: set openclaw_user")
    config = Path(given["config"]).expanduser()
    claw = OpenClaw(user, given["command"], config, given["url"])
    try:
        with acting_as(user):
            answer = bring_about(given, claw, check_mode=module.check_mode)
    except (RefusedError, OSError, subprocess.TimeoutExpired, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


if __name__ == "__main__":
    main()

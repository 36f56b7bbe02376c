"""Ansible module: let an OpenClaw gateway take the bus's wakes, and teach its agents the bus.

Runs on the hosts as root, on their own Python (3.9 and newer), and acts as the gateway's user
while it reads that user's files. It finds once where those are and where the gateway listens
(module_utils/openclaw_host.py), and answers it for the watcher and for others. What must change
is decided from the parsed file and the gateway's own answer. The `openclaw` command takes seconds
of CPU per call, so it is asked only for its version and to write.
"""

from __future__ import annotations

import dataclasses
import json
import pwd
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from roles.openclaw_bus.module_utils import openclaw_calls as calls
    from roles.openclaw_bus.module_utils import openclaw_host as host
    from roles.openclaw_bus.module_utils.openclaw_calls import OpenClaw
else:
    from ansible.module_utils import openclaw_calls as calls
    from ansible.module_utils import openclaw_host as host
    from ansible.module_utils.openclaw_calls import OpenClaw

DOCUMENTATION = r"""
module: openclaw_gateway
short_description: Let an OpenClaw gateway take the bus's wakes, and teach its agents the bus
description:
  - Enables the hooks with the bus's token, allows them the bus's agents, and maps one hook per
    agent (`agent-bus/NAME`), for wakes that other agents' turns cannot hold up.
  - Everything else in openclaw.json stays as it is. Check mode and diff are supported.
  - Places the skill that teaches the agents the bus in the folder that they share.
  - Never fails because of something that the operator must do; C(notes) says it.
options:
  state:
    description: C(absent) only takes the skill away; the gateway's own settings stay.
    type: str
    choices: [present, absent]
    default: present
  user: {description: The user that runs OpenClaw., type: str, required: true}
  agents: {description: Names of the agents to wake., type: list, elements: str, default: []}
  token: {description: The token that the bus's watcher sends., type: str}
  url: {description: Where the gateway listens; found out if empty., type: str}
  command: {description: The openclaw command., type: str, default: openclaw}
  state_dir: {description: OpenClaw's state folder; found out if empty., type: str}
  manage: {description: Whether to change the settings., type: bool, default: true}
  take_over:
    description: Whether to replace a hook token that others use.
    type: bool
    default: false
  skill: {description: Text of the skill; it is left as it is without., type: str}
"""

RETURN = r"""
differs: {description: As changed; a task may overrule that., type: bool}
url: {description: Where the gateway listens., type: str}
config: {description: The gateway's settings file., type: str}
source: {description: What says so; empty for OpenClaw's defaults., type: str}
installed: {description: Whether there is an openclaw command., type: bool}
version: {description: The version of OpenClaw; empty if unknown., type: str}
notes: {description: What the operator has to do, or should know., type: list, elements: str}
watcher_settings: {description: What the watcher has to know of this gateway., type: dict}
"""

LOCAL = {"127.0.0.1", "localhost", "::1", "0.0.0.0"}  # noqa: S104 - names of this host
NODE_SETTINGS = Path("/etc/agent-bus/node.json")
OURS = "agent-bus-"
"""How the ids of this module's mappings begin."""
SESSION_KEY = "hook:agent-bus"  # runs with one key are taken one after the other
WAKES_BY_AGENT = (2026, 8, 1)
"""Older gateways ignore `agentId` on the wake hook and wake their default agent."""


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
    """Return what has to change in the `hooks` settings; empty if nothing does.

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


def unknown_agents(settings: dict[str, Any], agents: list[str]) -> list[str]:
    """Return the agents that the gateway does not have; it then runs its default one."""
    roster = settings.get("agents") or {}
    known = {str(name).lower() for name in roster.get("entries") or {}}
    known |= {str(entry.get("id", "")).lower() for entry in roster.get("list") or []}
    return [agent for agent in agents if agent not in (known or {"main"})]


UNREADABLE = (
    "it does not take wakes, and its settings file has comments or includes others; OpenClaw's own"
    " writer would drop those: docs/how-to/openclaw.md says how to go on"
)
ADVICE = {
    calls.NO_GATEWAY: "no gateway listens there; its settings are in place, start OpenClaw",
    401: "it has another hook token than {config}: restart OpenClaw's gateway",
    404: "it has no hooks, though {config} has: restart OpenClaw's gateway",
}


def obstacle(
    given: dict[str, Any], hooks: dict[str, Any], patch: dict[str, Any], *, trouble: str
) -> str:
    """Return why the settings cannot be changed, with what to do; empty when they can."""
    if not patch:
        return ""
    if trouble:
        return (
            f"{trouble}; install OpenClaw for {given['user']} (npm install --global openclaw,"
            " openclaw onboard) or set openclaw_bus_command to its whole path, then run site.yml"
            " for this host again"
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
    settings: dict[str, Any],
    given: dict[str, Any],
    *,
    version: tuple[int, ...],
    answer: int,
    config: Path,
) -> list[str]:
    """Return what the operator should know of a gateway whose settings are in place."""
    found = []
    if answer != calls.TAKES_WAKES:
        advice = ADVICE.get(answer, f"it answers {answer} to a wake: see its log")
        found.append(advice.format(config=config))
    if unknown := unknown_agents(settings, given["agents"]):
        names = ", ".join(unknown)
        found.append(f"it has no agent {names}; add what is missing: openclaw agents add NAME")
    if version and version < WAKES_BY_AGENT:
        found.append("it is older than 2026.8.1: each wake is an isolated run; update OpenClaw")
    return found


def bring_about(
    given: dict[str, Any], known: host.Known, claw: OpenClaw, *, check_mode: bool
) -> dict[str, Any]:
    """Compare, change what has to be changed, and return the module's answer.

    Raises:
        RefusedError: OpenClaw does not take the settings, or has not written them.
    """
    version = claw.version()
    settings = claw.settings()
    hooks = dict((settings or {}).get("hooks") or {})
    path = str(hooks.get("path") or "/hooks")
    url = (given["url"] or address(known, settings or {})).rstrip("/")
    agents = given["agents"]
    patch = wanted(hooks, agents, given["token"]) if agents and settings is not None else {}
    hindrance = obstacle(given, hooks, patch, trouble=version.trouble)
    answer = calls.ask(f"{url}{path}/wake", given["token"])
    if patch and not hindrance and not check_mode:
        claw.patch(patch)
        answer = calls.ask_until(f"{url}{path}/wake", given["token"])
    notes = [hindrance] if hindrance else []
    if settings is None and answer != calls.TAKES_WAKES:
        notes = [UNREADABLE]
    elif settings is not None and agents and not hindrance and not (patch and check_mode):
        notes = remarks(
            settings, given, version=version.numbers, answer=answer, config=known.config
        )
    before = {key: hooks[key] for key in patch if key in hooks}
    diffs = [{"before": shown(before), "after": shown(patch)}] if patch and not hindrance else []
    if not version.trouble and given["skill"]:
        diffs += claw.place_skill(given["skill"], check_mode=check_mode)
    return {
        "changed": bool(diffs),
        "differs": bool(diffs),
        "installed": not version.trouble,
        "version": ".".join(map(str, version.numbers)),
        "url": url,
        "config": str(known.config),
        "source": known.source,
        "notes": notes,
        "watcher_settings": watcher_settings(path, version.numbers, known),
        "diff": diffs,
    }


def watcher_settings(path: str, version: tuple[int, ...], known: host.Known) -> dict[str, str]:
    """Return what the node's settings have to say of this gateway; nothing of what is usual."""
    found = {}
    if path != "/hooks":
        found["hooks_path"] = path
    if version and version < WAKES_BY_AGENT:
        found["hook_mode"] = "agent"
    if known.config != known.usual:
        found["openclaw_config"] = str(known.config)
    return found


def address(known: host.Known, settings: dict[str, Any]) -> str:
    """Return where the gateway listens: as it was found, as its settings say, or as usual."""
    port = known.port or (settings.get("gateway") or {}).get("port") or host.DEFAULT_PORT
    return f"http://127.0.0.1:{port}"


def port_of(url: str | None) -> int | None:
    """Return the port of a gateway on this host; None when the address is open, or elsewhere's."""
    parts = urlsplit(url or "")
    if parts.hostname not in LOCAL:
        return None
    return parts.port or (443 if parts.scheme == "https" else 80)


def look(given: dict[str, Any], user: pwd.struct_passwd) -> host.Known:
    """Return what is known of the gateway; what the inventory says stands above all else.

    A gateway that is down and has no unit was found by an earlier run: the node's settings tell.
    """
    known = host.find(user, port_of(given["url"]))
    if given["state_dir"]:
        config = host.expand(given["state_dir"], Path(user.pw_dir)) / "openclaw.json"
        return in_folder(known, config)
    if known.source or known.stranger:
        return known
    try:
        before = json.loads(host.read_text(NODE_SETTINGS))
    except ValueError:
        return known
    if config := before.get("openclaw_config"):
        known = dataclasses.replace(in_folder(known, Path(config)), source=str(NODE_SETTINGS))
    port = known.port or port_of(before.get("gateway_url"))
    return dataclasses.replace(known, port=port)


def in_folder(known: host.Known, config: Path) -> host.Known:
    """Return the same gateway with its settings file, and all that stands beside it, there."""
    folder = config.parent
    return dataclasses.replace(known, state_dir=folder, config=config, skills=folder / "skills")


def shown(hooks: dict[str, Any]) -> str:
    """Return settings for a diff, without the token."""
    hidden = {**hooks, "token": "(secret)"} if "token" in hooks else hooks
    return json.dumps({"hooks": hidden}, indent=2, sort_keys=True) + "\n"


def act(given: dict[str, Any], user: pwd.struct_passwd, *, check_mode: bool) -> dict[str, Any]:
    """Find the gateway as root, then do the work as its user, and return the answer."""
    known = look(given, user)
    claw = OpenClaw(user, given["command"], known)
    if given["state"] == "absent":
        with calls.acting_as(user):
            return {"changed": claw.remove_skill(check_mode=check_mode)}
    note = ""
    if known.stranger:
        note = (
            f"what listens there is OpenClaw of user {known.stranger}, not of {user.pw_name};"
            f" set openclaw_user: {known.stranger} for this host"
        )
    elif known.rivals and not (known.source or given["state_dir"]):
        note = (
            f"several units start OpenClaw of {user.pw_name} and none runs:"
            f" {', '.join(known.rivals)}; start the one that is meant, or set"
            " openclaw_bus_state_dir to its folder"
        )
    if note:
        url = given["url"] or address(known, {})
        return {"changed": False, "differs": False, "url": url, "notes": [note]}
    with calls.acting_as(user):
        return bring_about(given, known, claw, check_mode=check_mode)


def main() -> None:
    """Take the arguments, do it, answer."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "user": {"type": "str", "required": True},
            "agents": {"type": "list", "elements": "str", "default": []},
            "token": {"type": "str", "no_log": True},
            "url": {"type": "str"},
            "command": {"type": "str", "default": "openclaw"},
            "state_dir": {"type": "str"},
            "manage": {"type": "bool", "default": True},
            "take_over": {"type": "bool", "default": False},
            "skill": {"type": "str"},
        },
        required_if=[("state", "present", ["token"])],
        supports_check_mode=True,
    )
    given = module.params
    try:
        user = pwd.getpwnam(given["user"])
    except KeyError:
        if given["state"] == "absent":
            module.exit_json(changed=False)
        module.fail_json(msg=f"there is no user {given['user']}: set openclaw_user")
    try:
        answer = act(given, user, check_mode=module.check_mode)
    except PermissionError as error:
        module.fail_json(msg=f"as {user.pw_name}, whom openclaw_user names: {error}")
    except (calls.RefusedError, OSError, subprocess.TimeoutExpired, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


if __name__ == "__main__":
    main()

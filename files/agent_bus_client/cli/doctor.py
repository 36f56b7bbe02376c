"""`doctor`: checks the chain of a node link by link and says what to do about a broken one."""

from __future__ import annotations

import getpass
import json
import os
import time
from pathlib import Path

from agent_bus_client import release
from agent_bus_client import settings as node_settings
from agent_bus_client.api import GatewayKind, Problem
from agent_bus_client.errors import (
    ClientError,
    HubRefusedError,
    HubUnreachableError,
    HubUntrustedError,
    NoTokenError,
    SettingsError,
)
from agent_bus_client.record import Record
from agent_bus_client.turns import readiness, session
from agent_bus_client.waker.gateway import Gateway
from agent_bus_mcp.words.terms import Presence

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Any

    from agent_bus_client.agents import Agent, Turns
    from agent_bus_client.cli.context import Context
    from agent_bus_client.hub.transport import HubClient

EACH_S = 1.5  # to ask each of several hubs whether it is ready
HUB_S = 5.5  # a second name server is asked after 5 s; the gateway gets the rest of 9 s
SITE = "run the site playbook for this node"
VERSION_S = 4.0  # for a program to start and tell its version
CERTIFICATE_S = (
    21 * 86400.0
)  # as in the hub's alert; `site.yml` renews from 30 days before the end
OF_HUBS = ("Hub", "DatabaseMember", "Quorum", "NoPrimary", "Replica", "Etcd")
"""How the names of the hub's alerts about several hubs begin, after `AgentBus`."""
RESERVES = ("Certificate", "Disk", "TokensInRotation", "Backup", "Archive")
"""How the names of the hub's alerts about reserves begin, after `AgentBus`."""
KINDS: dict[str, str] = {
    GatewayKind.HEARTBEAT: "its gateway puts woken turns off (heartbeat)",
    GatewayKind.FOLLOW_UP: "its gateway starts woken turns beside others (follow-up)",
}


class Check(Record):
    """One link; `advice` says what to do if it is not ok."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def doctor(context: Context) -> int:
    """Print each check with `ok` or what to do; return 1 if one failed."""
    names = ", ".join(context.settings.agent_names)
    gateway = _gateway(context)
    checks = [
        Check("settings", True, f"node {context.settings.node}, agents {names}"),
        *_each_hub(context),
        *_hub(context),
        *_own_tokens(context),
        *gateway,
        *_turns(context),
        *_openclaw(context, answers=all(check.ok for check in gateway)),
        _outbox(context),
    ]
    lines = []
    for check in checks:
        lines.append(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.found}")
        if not check.ok and check.advice:
            lines.append(f"     -> {check.advice}")
    facts = {"release": release.current(), "checks": [vars(check) for check in checks]}
    context.answer(facts, "\n".join(lines))
    return 0 if all(check.ok for check in checks) else 1


def _each_hub(context: Context) -> list[Check]:
    """Return whether each of several hubs can take messages; nothing for an only one."""
    clients = context.hub.clients
    if len(clients) == 1:
        return []
    checks = []
    for client in clients:
        try:
            ready = _ready(client, which=", this node's first" if client is clients[0] else "")
        except SettingsError:
            return []  # `_hub` says why
        checks.append(ready)
        if ready.ok:
            checks += _certificate(client, context.now(), f"certificate of {client.url}")
    return checks


def _ready(client: HubClient, *, which: str) -> Check:
    """Return whether a hub can take messages.

    Raises:
        SettingsError: this user has no token, or the CA file cannot be read.
    """
    name = f"hub {client.url}"
    try:
        said = client.call("GET", "/readyz", timeout_s=EACH_S)
    except HubUntrustedError as error:
        return Check(name, ok=False, found=error.reason, advice=SITE)
    except HubUnreachableError as error:
        advice = "is agent-bus.service running there? Until it is, this node uses another hub"
        return Check(name, ok=False, found=f"{error.reason}{which}", advice=advice)
    except HubRefusedError as error:
        parts = error.fields.get("checks")
        parts = parts if isinstance(parts, dict) else {"answer": str(error)}
        found = "; ".join(f"{part}: {words}" for part, words in parts.items() if words != "ok")
        advice = "look at its log there: journalctl -u agent-bus"
        return Check(name, ok=False, found=f"not ready{which}; {found}", advice=advice)
    return Check(name, ok=True, found=f"ready, release {said['version']}{which}")


def _hub(context: Context) -> list[Check]:
    url = context.hub.url
    try:
        roster = context.hub.call("GET", "/api/agents", timeout_s=HUB_S)
    except NoTokenError as error:
        return [Check("token", ok=False, found=error.found, advice=error.advice)]
    except SettingsError as error:
        return [Check("settings", ok=False, found=str(error), advice=SITE)]
    except HubRefusedError as error:
        denied = error.status in {401, 403}
        advice = f"the token is not the hub's: {SITE}" if denied else "look at the hub's log"
        advice = (
            f"hub_url is from before TLS: {SITE}"
            if error.problem == Problem.TLS_REQUIRED
            else advice
        )
        return [Check("token" if denied else "hub", ok=False, found=str(error), advice=advice)]
    except HubUntrustedError as error:
        return [Check("hub", ok=False, found=str(error), advice=SITE)]
    except ClientError as error:
        advice = f"is agent-bus.service running on the hub, and {url} open from here?"
        return [Check("hub", ok=False, found=str(error), advice=advice)]
    found = f"{context.hub.url} at {context.hub.way}, with {context.token_words}"
    checks = [Check("hub and token", ok=True, found=found)]
    if len(context.hub.clients) == 1:
        checks += _certificate(context.hub.clients[0], context.now(), "certificate")
    known = {agent["name"]: agent for agent in roster["agents"]}
    own = context.settings.node
    for name in context.settings.agent_names:
        agent = known.get(name)
        if agent is None or agent["status"] == Presence.RETIRED:
            found, advice = "not registered at the hub", "run the site playbook (hub and nodes)"
            checks.append(Check(f"agent {name}", ok=False, found=found, advice=advice))
            continue
        ok = agent["status"] == Presence.ONLINE
        found = f"{agent['status']}, {agent['unread']} unread, {agent['unfetched']} not fetched"
        advice = "journalctl -u bus-watcher -n 50"
        checks.append(Check(f"agent {name}", ok=ok, found=found, advice=advice))
    checks += [_watcher(node) for node in roster.get("nodes", []) if node["node"] == own]
    return [*checks, *_reserves(context)]


def _own_tokens(context: Context) -> list[Check]:
    """Return whether each agent's own token is kept from others, and the hub takes it."""
    return [
        _own_token(context, agent.name, agent.token_file)
        for agent in context.settings.agents
        if agent.token_file
    ]


def _own_token(context: Context, agent: str, path: str) -> Check:
    name = f"token of {agent}"
    try:
        mode, owner = os.stat(path).st_mode & 0o777, node_settings.owner_of(path)
    except OSError as error:
        return Check(name, ok=False, found=f"{path}: {error.strerror}", advice=SITE)
    if mode & 0o077:
        found = f"{path} has mode {mode:04o}: others than {owner} can read it"
        return Check(name, ok=False, found=found, advice=SITE)
    if not os.access(path, os.R_OK):
        found = f"{path} is {owner}'s alone; no more was looked at: run this as {owner}"
        return Check(name, ok=True, found=found)
    hub = context.hub_for(lambda: node_settings.read_token_file(path))
    query = {"agent": agent, "peek": 1, "limit": 1}
    try:
        hub.call("GET", "/api/inbox", query=query, timeout_s=HUB_S)
    except HubRefusedError as error:
        return Check(name, ok=False, found=f"{path}: {error}", advice=SITE)
    except ClientError as error:
        return Check(name, ok=False, found=f"not asked for: {error}", advice="try again")
    return Check(name, ok=True, found=f"{path} is {owner}'s alone, and the hub takes it")


def _watcher(node: dict[str, Any]) -> Check:
    """Return whether the node's watcher is there, and what it has learned about its gateway."""
    words = "connected" if node["connected"] else "not connected"
    kind = KINDS.get(node.get("gateway_kind") or "", "")
    found = (
        f"{words}, release {node.get('watcher_version') or 'not known yet'}{kind and f'; {kind}'}"
    )
    advice = "systemctl status bus-watcher"
    return Check("watcher", ok=bool(node["connected"]), found=found, advice=advice)


def _certificate(client: HubClient, now: float, name: str) -> list[Check]:
    """Return how long the certificate lasts that the hub has just shown; nothing without TLS."""
    try:
        ends = client.certificate_ends(timeout_s=HUB_S)
    except ClientError as error:
        return [Check(name, ok=False, found=str(error), advice=SITE)]
    if ends is None:
        return []
    left_s = ends - now
    day = time.strftime("%Y-%m-%d", time.gmtime(ends))
    found = f"the hub's ends on {day}, in {left_s // 86400:.0f} days"
    advice = "run the site playbook for the hub, with a new certificate if it is one of yours"
    return [Check(name, ok=left_s > CERTIFICATE_S, found=found, advice=advice)]


def _reserves(context: Context) -> list[Check]:
    """Return the hub's reserves, and what it says is wrong with the hubs and their database.

    Nothing from an older hub, which does not say it.
    """
    try:
        stats = context.hub.call("GET", "/api/stats", timeout_s=HUB_S)
    except ClientError as error:
        return [Check("hub's reserves", ok=False, found=str(error), advice="try again")]
    checks = []
    words = "; ".join(stats.get("reserves", {}).get("words", []))
    if words:
        alerts, advice = _alerts(stats, RESERVES)
        checks.append(Check("hub's reserves", ok=not alerts, found=words, advice=advice))
    alerts, advice = _alerts(stats, OF_HUBS)
    if alerts:
        words = "; ".join(str(one["words"]) for one in alerts)
        checks.append(Check("hubs and database", ok=False, found=words, advice=advice))
    return checks


def _alerts(stats: dict[str, Any], kinds: tuple[str, ...]) -> tuple[list[dict[str, Any]], str]:
    """Return the hub's alerts of some kinds, and what to do about them."""
    names = tuple(f"AgentBus{kind}" for kind in kinds)
    found = [one for one in stats.get("alerts", []) if one["name"].startswith(names)]
    return found, "; ".join(f"{one['words']}: {one['advice']}" for one in found)


def _gateway(context: Context) -> list[Check]:
    """Return whether the gateway answers; the hook token is root's and is not needed for it."""
    if not any(agent.uses_gateway for agent in context.settings.agents):
        return []
    gateway = Gateway(context.settings, _hook_token, deadline=context.deadline)
    outcome = gateway.check()
    ok = outcome.is_accepted
    url = context.settings.gateway_url
    advice = "start OpenClaw's gateway, or correct openclaw_gateway_url in the inventory"
    found = f"{url} answers" if ok else f"{url}: {outcome.detail or outcome.reason}"
    return [Check("gateway", ok=ok, found=found, advice=advice)]


def _openclaw(context: Context, *, answers: bool) -> list[Check]:
    """Return what openclaw.json says, if this user can read it, and whether it is in force."""
    named = context.settings.openclaw_config
    path = Path(named) if named else Path.home() / ".openclaw" / "openclaw.json"
    hooked = [agent.name for agent in context.settings.agents if agent.uses_gateway]
    if not hooked:
        return []
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        found = f"not looked at, {path} cannot be read: run this as the gateway's user"
        return [Check("hooks", ok=True, found=found)]
    except ValueError:
        found = f"not looked at, {path} has comments"
        return [Check("hooks", ok=True, found=found)]
    hooks, roster = config.get("hooks", {}), config.get("agents", {})
    enabled = bool(hooks.get("enabled") and hooks.get("token"))
    found = "on, with a token" if enabled else f"off in {path}"
    checks = [Check("hooks", ok=enabled, found=found, advice=SITE)]
    if enabled and answers:
        checks.append(_hook(context, str(hooks["token"])))
    entries = {str(name).lower() for name in roster.get("entries", {})}
    entries |= {str(entry.get("id")).lower() for entry in roster.get("list", [])}
    allowed = hooks.get("allowedAgentIds")
    for name in hooked:
        problems = []
        if name not in (entries or {"main"}):
            problems.append("not among the gateway's agents")
        if allowed is not None and "*" not in allowed and name not in allowed:
            problems.append("not in hooks.allowedAgentIds")
        advice = f"add it: openclaw agents add {name}, then {SITE}"
        words = "; ".join(problems) or "known, allowed"
        checks.append(Check(f"gateway agent {name}", ok=not problems, found=words, advice=advice))
    return checks


def _hook(context: Context, token: str) -> Check:
    """Return whether the gateway, at the watcher's address, accepts the token of its own file.

    Only root can read the watcher's copy; if that differs, the hub shows the failed wakes.
    """
    gateway = Gateway(context.settings, lambda: token, deadline=context.deadline)
    outcome = gateway.check_hook()
    ok = outcome.is_accepted
    url = context.settings.gateway_url + context.settings.hooks_path
    found = f"{url} takes the token" if ok else f"{url}: {outcome.detail or outcome.reason}"
    return Check("wake hook", ok=ok, found=found, advice=outcome.fix or SITE)


def _turns(context: Context) -> list[Check]:
    """Return whether a turn of each agent that takes turns could be started."""
    checks = []
    for agent in context.settings.agents:
        if agent.turns is None:
            continue
        name, path = (
            f"turns of {agent.name}",
            Path(context.settings.turn_dir) / f"{agent.name}.sock",
        )
        if not path.is_socket():
            unit = f"agent-bus-turn@{agent.name}.socket"
            advice = f"systemctl status {unit}; systemctl restart bus-watcher starts it"
            checks.append(Check(name, ok=False, found=f"nobody listens on {path}", advice=advice))
        elif getpass.getuser() != agent.turns.user:
            found = f"a socket waits; no more was looked at: run this as {agent.turns.user}"
            checks.append(Check(name, ok=True, found=found))
        else:
            checks.append(_own_turns(agent, agent.turns, name))
    return checks


def _own_turns(agent: Agent, turns: Turns, name: str) -> Check:
    ready = readiness.look(agent, turns)
    if ready.reason:
        return Check(name, ok=False, found=ready.reason, advice=ready.fix)
    trouble = readiness.version_trouble(agent, ready, timeout_s=VERSION_S)
    if trouble:
        return Check(name, ok=False, found=trouble, advice=f"update it for {turns.user}")
    last = session.load(Path(session.FOLDER) / agent.name)
    if last.trouble:
        found = f"the last {last.failures} failed: {last.trouble}"
        advice = f"journalctl -u agent-bus-turn@{agent.name} -n 50"
        return Check(name, ok=False, found=found, advice=advice)
    return Check(name, ok=True, found=f"{ready.program} in {turns.folder} as {turns.user}")


def _outbox(context: Context) -> Check:
    outbox = context.outbox.folder
    if os.path.exists(outbox) and not os.access(outbox, os.R_OK | os.W_OK | os.X_OK):
        found = f"{getpass.getuser()} cannot use {outbox}: nothing is kept while the hub is away"
        advice = f"log in again, so that the group agent-bus counts (id shows it); else {SITE}"
        return Check("outbox", ok=False, found=found, advice=advice)
    waiting, failed = context.outbox.waiting(), context.outbox.failed()
    told = context.outbox.told_count()
    found = f"{len(waiting)} waiting, {len(failed) + told} failed"
    folder = f"{outbox}/failed"
    advice = f"read the reasons in {folder}, send again what still matters, remove the files"
    return Check("outbox", ok=not failed and not told, found=found, advice=advice)


def _hook_token() -> str:
    raise ClientError("the command line has no hook token")

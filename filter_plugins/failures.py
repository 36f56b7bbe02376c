"""Say why a task failed or the hub is silent, with all that the operator needs to mend it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LAST_LINES = 15


def why_failed(result: Mapping[str, Any]) -> str:
    """Return a task's message and the last words of what it ran.

    For a command, Ansible's own message is only "non-zero return code".
    """
    return "\n".join(dict.fromkeys(_parts(result))) or "it failed"


def _parts(result: Mapping[str, Any]) -> Iterator[str]:
    if result.get("censored"):
        yield (
            "what it said is hidden, since it handles secrets; see whether the host's disk is "
            "full or read-only (df /etc/agent-bus)"
        )
    message = str(result.get("msg") or "").strip()
    if message:
        yield message
    words = [str(result.get(key) or "").strip() for key in ("stderr", "module_stderr")]
    if not any(words):
        words = [str(result.get(key) or "").strip() for key in ("stdout", "module_stdout")]
    if result.get("rc") or result.get("module_stderr"):
        command = result.get("cmd")
        if command:
            yield command if isinstance(command, str) else " ".join(map(str, command))
        yield from ("\n".join(text.splitlines()[-LAST_LINES:]) for text in words if text)
    for item in result.get("results") or ():
        if item.get("failed"):
            yield why_failed(item)


def why_silent(looked: Mapping[str, Any], hub: Mapping[str, Any]) -> str:
    """Return why the hub does not answer: what it is, and what the inventory says it should be.

    Args:
        looked: what Ansible's command got of look_at_hub.py, run on the hub; also if that failed.
        hub: what `hub_of` says.
    """
    found = json.loads(looked.get("stdout") or "{}")
    only_the_hub = f"--limit {hub['name']}"
    if not found:
        return f"It could not be looked at, either: {why_failed(looked)}"
    if not found["installed"]:
        return f"It was never rolled out; begin with it: {only_the_hub}"
    with_tls = hub["tls"] != "off"
    if (found["bind"], found["tls"]) != (hub["listens"], with_tls):
        return (
            f"It was rolled out to listen on {found['bind']} {_tls(on=found['tls'])}, and the "
            f"inventory now says {hub['listens']} {_tls(on=with_tls)}: roll the hub out first, "
            f"{only_the_hub}"
        )
    return f"agent-bus.service is {found['state']} there. Its last words: {found['words']}"


def _tls(*, on: bool) -> str:
    return "with TLS" if on else "without TLS"


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"why_failed": why_failed, "why_silent": why_silent}

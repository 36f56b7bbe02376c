"""Say why a task failed, with all that the operator needs to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LAST_LINES = 15


def why_failed(result: Mapping[str, Any]) -> str:
    """Return a task's message and the last words of what it ran.

    Ansible's own message for a command is no more than "non-zero return code".
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


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"why_failed": why_failed}

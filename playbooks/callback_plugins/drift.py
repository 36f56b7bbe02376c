"""Print one line for each thing that a check run would change; playbooks/drift.yml uses it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTATION = """
name: drift
type: stdout
short_description: One line for each difference
description: Prints HOST, what differs and where, and the reason of each failure; nothing else.
"""

NOT_SHOWN = {
    "(owner, group or mode)\n": "has another owner or mode",
    "(secret)\n": "is missing or holds another secret",
}
"""What library/host_files.py writes in place of a file's text."""


def lines(host: str, task: str, result: dict[str, Any]) -> Iterator[str]:
    """Give one line for each difference in a task's result, at least one."""
    found = result.get("diff") or []
    diffs = [found] if isinstance(found, dict) else found
    named = [diff for diff in diffs if diff.get("after_header") or diff.get("before_header")]
    for diff in named:
        yield f"{host}: {diff.get('after_header') or diff['before_header']}: {changes(diff)}"
    for diff in diffs:
        if diff not in named:
            yield f"{host}: {task}: {changes(diff)}"
    if not diffs:
        yield f"{host}: {task}"


def changes(diff: dict[str, Any]) -> str:
    """Return in a few words what a diff would do."""
    before, after = text(diff.get("before")), text(diff.get("after"))
    if after in NOT_SHOWN:
        return NOT_SHOWN[after]
    if not before:
        return "is missing"
    if not after:
        return "should not be there"
    old, new = set(before.splitlines()), set(after.splitlines())
    gone, come = len(old - new), len(new - old)
    if gone <= 1 and come <= 1:
        was, shall = " ".join(old - new).strip(), " ".join(new - old).strip()
        return f"{was or '(nothing)'} -> {shall or '(nothing)'}"
    return f"{gone} lines differ from {come} that should be there"


def complaint(result: dict[str, Any]) -> str:
    """Return in one line why a task failed, with what its command said."""
    said = (result.get(key) for key in ("msg", "stderr", "module_stderr"))
    return " ".join(" ".join(str(words) for words in said if words).split())


def text(value: object) -> str:
    """Return a side of a diff as text."""
    return value if isinstance(value, str) else json.dumps(value) if value else ""


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    """What Ansible loads."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "drift"

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401 - Ansible has no types
        """Show progress on stderr."""
        self._display.display(f"... {play.get_name()}", stderr=True)

    def v2_runner_on_ok(self, result: Any) -> None:  # noqa: ANN401 - Ansible has no types
        """Say what the task would change."""
        if result._result.get("changed"):  # noqa: SLF001 - Ansible's interface for callbacks
            for line in lines(result._host.get_name(), _task(result), result._result):  # noqa: SLF001
                self._display.display(line)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002
        """Say why the task failed."""
        if not ignore_errors:
            self._complain(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:  # noqa: ANN401 - as above
        """Say that the host could not be asked."""
        self._complain(result, "not reached")

    def _complain(self, result: Any, what: str) -> None:  # noqa: ANN401 - as above
        words = complaint(result._result)  # noqa: SLF001
        self._display.display(f"{result._host.get_name()}: {_task(result)}: {what}: {words}")  # noqa: SLF001


def _task(result: Any) -> str:  # noqa: ANN401 - as above
    return str(result._task.get_name()).split(" : ")[-1]  # noqa: SLF001

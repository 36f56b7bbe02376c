"""Print the time of each play and task of a run as one JSON object; bench/rollout.py uses it."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: times
type: stdout
short_description: The time of each play and task as JSON
description: Tells C(plays), C(stats) and C(failures) at the end of the run.
extends_documentation_fragment: [default_callback]
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Notes when plays and tasks begin; what begins ends what was before."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "times"

    def __init__(self) -> None:
        super().__init__()
        self._plays: list[dict[str, Any]] = []
        self._failures: list[str] = []

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ANN401 - Ansible's
        """A play begins."""
        self._end()
        began = time.monotonic()
        self._plays.append({"name": play.get_name(), "began": began, "tasks": []})

    def v2_playbook_on_task_start(self, task: Any, is_conditional: object) -> None:  # noqa: ANN401, ARG002 - Ansible's
        """A task begins."""
        self._end(play=False)
        began = time.monotonic()
        self._plays[-1]["tasks"].append({"name": task.get_name(), "began": began, "hosts": []})

    def v2_runner_on_ok(self, result: Any) -> None:  # noqa: ANN401 - Ansible's
        """A host has done it."""
        self._plays[-1]["tasks"][-1]["hosts"].append(result.host.get_name())

    def v2_runner_on_failed(self, result: Any, ignore_errors: object = None) -> None:  # noqa: ANN401, ARG002 - Ansible's
        """A host could not do it."""
        self._failures.append(f"{result.host.get_name()}: {result.result.get('msg', '')}")

    def v2_runner_on_unreachable(self, result: Any) -> None:  # noqa: ANN401 - Ansible's
        """A host could not be asked."""
        self.v2_runner_on_failed(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ANN401 - Ansible's
        """The run is over: tell all."""
        self._end()
        summary = {host: stats.summarize(host) for host in stats.processed}
        told = {"plays": self._plays, "stats": summary, "failures": self._failures}
        self._display.display(json.dumps(told))

    def _end(self, *, play: bool = True) -> None:
        now = time.monotonic()
        for entry in self._plays[-1:]:
            for task in entry["tasks"][-1:]:
                task.setdefault("seconds", now - task["began"])
            if play:
                entry.setdefault("seconds", now - entry["began"])

"""Tell lab/follow.py which task Ansible runs, even where Ansible's output is held back."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: lab_progress
type: notification
short_description: tells lab/follow.py what is going on
description: Writes the name of each task into the pipe of lab/follow.py.
"""


def _progress() -> Any:  # noqa: ANN401 - a module, loaded by path: `lab` cannot be imported here
    place = Path(__file__).resolve().parent.parent / "progress.py"
    spec = importlib.util.spec_from_file_location("lab_progress_pipe", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no hints
    """Notes each task as it starts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lab_progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._progress = _progress()
        self._playbook = ""

    def v2_playbook_on_start(self, playbook: Any) -> None:  # noqa: ANN401 - Ansible has no hints
        """Remember the playbook's name."""
        self._playbook = Path(playbook._file_name).name  # noqa: SLF001 - there is no other way

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ANN401, ARG002, FBT001 - Ansible's signature
        """Note a task."""
        self._progress.doing(f"{self._playbook}: {task.get_name()}")

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:  # noqa: ANN401 - as above
        """Note a handler."""
        self._progress.doing(f"{self._playbook}: {task.get_name()}")

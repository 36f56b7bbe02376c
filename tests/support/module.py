"""One of the project's own Ansible modules, run as Ansible runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.hub import REPOSITORY


def answer_of(module: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run `library/<module>.py` in a process of its own; answers the JSON that it prints.

    Args:
        arguments: the module's parameters, and Ansible's own (`_ansible_check_mode` and such).
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(REPOSITORY / "library" / f"{module}.py")],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer

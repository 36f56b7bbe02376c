"""The project's own Ansible modules, run as Ansible runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import ansible.module_utils

from action_plugins.on_host import MARK, imports, program
from tests.support.hub import REPOSITORY

_UTILITIES = REPOSITORY / "roles" / "openclaw_bus" / "module_utils"
# Ansible packs these beside its own; here its package gets one more folder.
_RUN = f"""
import ansible.module_utils, runpy, sys
ansible.module_utils.__path__.append({str(_UTILITIES)!r})
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def find_utilities() -> None:
    """Let this process import a module of the project as Ansible packs it."""
    if str(_UTILITIES) not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(str(_UTILITIES))


BARE = "AGENT_BUS_TEST_BARE"
"""Set where modules are run as `action_plugins/on_host.py` does."""


def answer_of(
    module: str, arguments: dict[str, Any], *, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run `library/<module>.py` in a process of its own; returns the JSON that it prints.

    Args:
        arguments: the module's parameters, and Ansible's own (`_ansible_check_mode` and such).
        env: more of its environment.
    """
    if BARE in os.environ:
        return answer_on_bare_python(module, arguments, env=env)
    file = str(REPOSITORY / "library" / f"{module}.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN, file],
        env={**os.environ, **(env or {})},
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def answer_on_bare_python(
    module: str, arguments: dict[str, Any], *, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run it as `action_plugins/on_host.py` does on a host: without Ansible's library."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"],
        env={**os.environ, **(env or {})},
        input=bare_program(module, arguments),
        capture_output=True,
        text=True,
        check=False,
    )
    assert MARK in done.stdout, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.rpartition(MARK)[2])
    return answer


def bare_program(module: str, arguments: dict[str, Any]) -> str:
    """Return the whole program that `action_plugins/on_host.py` sends to a host."""
    source = (REPOSITORY / "library" / f"{module}.py").read_text(encoding="utf-8")
    more = imports(source, lambda name: (_UTILITIES / f"{name}.py").read_text(encoding="utf-8"))
    given = {key: value for key, value in arguments.items() if not key.startswith("_ansible_")}
    check_mode = bool(arguments.get("_ansible_check_mode"))
    return program(module, source, more, given, check_mode=check_mode)

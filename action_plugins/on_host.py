"""Run a module of this project on a host's bare Python, in one call over the open connection.

Runs on the control node. Ansible packs its module library with each module, sends it and has it
compiled for every call: about 0.25 s of the host's CPU. This sends the module's own text with the
little of that library that it uses (host_basic.py), and `python3 -I -S` reads it from its standard
input (docs/decisions/0062-modules-on-bare-python.md).

Ansible runs the module in its own way where this one is not open: without pipelining, and where
the host's Python has to be found first.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import module_utils_loader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BASIC: Final = Path(__file__).with_name("host_basic.py")
MARK: Final = "agent-bus-answer: "
IMPORTED: Final = re.compile(
    r"^\s*from ansible\.module_utils(?:\.(\w+)| import (\w+))", re.MULTILINE
)
LINES: Final = 10
"""How much of what a host printed in place of an answer is shown."""


class ActionModule(ActionBase):  # type: ignore[misc] # Ansible has no types
    """What Ansible loads."""

    _supports_check_mode = True

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module that the task names; answer what it answers."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        python = self._python(variables)
        if python and self._is_pipelining_enabled("new"):
            return {**result, **self._ask(python)}
        result.update(self._execute_module(task_vars=variables))
        self._remove_tmp_path(self._connection._shell.tmpdir)  # noqa: SLF001 - as Ansible's own do
        return result

    def _python(self, variables: dict[str, Any]) -> str:
        """Return the path of the host's Python; empty where Ansible has to find it."""
        if self._task.delegate_to:
            variables = variables["ansible_delegated_vars"][self._task.delegate_to]
        given = variables.get("ansible_python_interpreter")
        python = str(self._templar.template(given) if given else constants.INTERPRETER_PYTHON)
        return python if python.startswith("/") and " " not in python else ""

    def _ask(self, python: str) -> dict[str, Any]:
        environment = self._compute_environment_string()
        command = f"{environment} {python} -I -S -".strip()
        printed = self._low_level_execute_command(command, in_data=self._program().encode())
        for line in reversed(printed["stdout"].splitlines()):
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                return answer
        said = f"{printed['stdout']}\n{printed['stderr']}".strip().splitlines()
        return {
            "failed": True,
            "msg": f"{self._task.action} did not answer: " + "\n".join(said[-LINES:]),
            "module_stdout": printed["stdout"],
            "module_stderr": printed["stderr"],
            "rc": printed["rc"],
        }

    def _program(self) -> str:
        name = str(self._task.action)
        source = text_of(self._shared_loader_obj.module_loader.find_plugin(name, ".py"))
        more = imports(source, lambda name: text_of(module_utils_loader.find_plugin(name, ".py")))
        check_mode = bool(self._task.check_mode)
        return program(name, source, more, self._task.args, check_mode=check_mode)


def text_of(path: str) -> str:
    """Return the text of a file of this project."""
    return Path(path).read_text(encoding="utf-8")


def imports(source: str, find: Callable[[str], str]) -> dict[str, str]:
    """Return the text of all that a module imports of this project's module_utils, by its name.

    Args:
        source: text of the module.
        find: returns the text of one of the module_utils.
    """
    found: dict[str, str] = {}
    waiting = [source]
    while waiting:
        for pair in IMPORTED.findall(waiting.pop()):
            name = next(filter(None, pair))
            if name != "basic" and name not in found:
                found[name] = find(name)
                waiting.append(found[name])
    return found


def program(
    name: str,
    source: str,
    more: Mapping[str, str],
    arguments: Mapping[str, Any],
    *,
    check_mode: bool,
) -> str:
    """Return the text of the program that runs a module with its arguments."""
    parts = {
        "name": name,
        "source": source,
        "more": more,
        "arguments": arguments,
        "check_mode": check_mode,
    }
    return f"{text_of(str(BASIC))}\n\nrun({json.dumps(json.dumps(parts))})\n"

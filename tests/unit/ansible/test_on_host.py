"""Modules of the project on a host's bare Python: `action_plugins/on_host.py`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lab.paths import ROOT
from tests.support.module import answer_on_bare_python
from tests.support.plays import play

if TYPE_CHECKING:
    from pathlib import Path

BY_ON_HOST = sorted(
    file.stem
    for file in (ROOT / "action_plugins").glob("*.py")
    if file.read_text().endswith('action_loader.get("on_host", class_only=True)\n')
)
TEXT = """all's "well" \U0001f980\n"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Give a Python that notes how it is called."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    return program


def placed(folder: Path, python: Path, *options: str, **more: Any) -> tuple[dict[str, Any], str]:
    """Place a file by module host_files; return the module's answer and how Python was called."""
    tasks: list[dict[str, Any]] = [
        {
            "host_files": {"files": [{"path": f"{folder}/file", "content": TEXT}]},
            "register": "answer",
            "vars": {"ansible_python_interpreter": str(python)},
        },
        {
            "ansible.builtin.copy": {
                "content": "{{ answer | to_json }}",
                "dest": f"{folder}/answer",
            },
            "vars": {"ansible_python_interpreter": sys.executable},
            "check_mode": False,
        },
    ]
    done = play(tasks, folder, variables=more, options=options)
    if not (folder / "answer").exists():
        return {"output": done.stdout + done.stderr}, ""
    return json.loads((folder / "answer").read_text()), (folder / "calls").read_text()


def test_a_module_is_one_call_of_a_bare_python(tmp_path: Path, python: Path) -> None:
    answer, calls = placed(tmp_path, python)
    assert answer["paths"] == [f"{tmp_path}/file"]
    assert (tmp_path / "file").read_text() == TEXT
    assert calls == "-I -S -\n"


def test_check_mode_reaches_the_module(tmp_path: Path, python: Path) -> None:
    answer, _ = placed(tmp_path, python, "--check")
    assert answer["changed"]
    assert not (tmp_path / "file").exists()


def test_without_pipelining_ansible_runs_the_module_in_its_own_way(
    tmp_path: Path, python: Path
) -> None:
    answer, calls = placed(tmp_path, python, ansible_pipelining=False)
    assert answer["changed"]
    assert "-I -S" not in calls
    assert (tmp_path / "file").exists()


def test_a_host_that_does_not_answer_has_its_words_shown(tmp_path: Path, python: Path) -> None:
    python.write_text("#!/bin/sh\necho no such thing as Python here >&2\nexit 3\n")
    answer, _ = placed(tmp_path, python)
    assert "host_files did not answer: no such thing as Python here" in answer["output"]


@pytest.mark.parametrize("module", BY_ON_HOST)
def test_a_wrong_argument_is_told(module: str) -> None:
    answer = answer_on_bare_python(module, {"colour": "red"})
    assert answer["failed"]
    assert "colour" in answer["msg"]


def test_a_secret_is_in_no_answer() -> None:
    arguments = {"user": "no-such-user-s3cret", "token": "s3cret"}
    answer = answer_on_bare_python("openclaw_gateway", arguments)
    assert answer["msg"] == "there is no user no-such-user-********: set openclaw_user"

"""`tools/molecule` with a molecule that only says what the real one would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lab.paths import ROOT
from tests.support.patience import patience

if TYPE_CHECKING:
    from pathlib import Path

MOLECULE = """\
#!/bin/sh
cat said
exit 2
"""
OF_TESTS = r"""
FAILED molecule/small/tests/test_roll.py::test_call[n1] (12.3 s)
fatal: [n1]: FAILED! => {"msg": "E\nFAILED molecule/small/tests/test_roll.py::test_call[n1] - E\n"}
ERROR molecule/small/tests/test_roll.py::test_other - a fixture
PLAY RECAP
"""
OF_TASKS = """
fatal: [n1]: FAILED! => {"msg": "no room"}
PLAY RECAP
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("tools", "molecule/small", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "molecule", tmp_path / "tools")
    (tmp_path / "lab").symlink_to(ROOT / "lab")
    (tmp_path / "molecule/small/molecule.yml").write_text("test_sequence:\n  - converge\n")
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    (tmp_path / ".venv/bin/molecule").write_text(MOLECULE)
    (tmp_path / ".venv/bin/molecule").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("said", "last"),
    [
        (
            OF_TESTS,
            [
                "FAILED molecule/small/tests/test_roll.py::test_call[n1]",
                "FAILED molecule/small/tests/test_roll.py::test_other",
            ],
        ),
        (OF_TASKS, ["FAILED scenario small"]),
    ],
)
def test_the_last_lines_name_each_failed_test_or_else_the_scenario(
    project: Path, said: str, last: list[str]
) -> None:
    (project / "said").write_text(said)
    done = subprocess.run(
        [project / "tools" / "molecule", "test", "-s", "small"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=patience(),
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-len(last) :] == last
    assert sum(line in last for line in lines[-len(last) - 1 :]) == len(last)

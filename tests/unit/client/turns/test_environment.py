from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.errors import SettingsError
from agent_bus_client.turns import environment

if TYPE_CHECKING:
    from pathlib import Path

USER = pwd.getpwuid(os.geteuid())


def test_nothing_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    found = environment.of(USER, "")
    assert set(found) == {"HOME", "USER", "LOGNAME", "SHELL", "LANG", "PATH"}
    assert found["HOME"] == USER.pw_dir
    assert found["PATH"].split(":")[-3:] == ["/usr/local/bin", "/usr/bin", "/bin"]


def test_a_file_adds_and_replaces_variables(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("# key\n\nKEY=a b=c\nexport QUOTED='x y'\nPATH=\"/opt/x\"\nEMPTY=\n")
    found = environment.of(USER, str(file))
    assert found["KEY"] == "a b=c"
    assert found["QUOTED"] == "x y"
    assert found["PATH"] == "/opt/x"
    assert found["EMPTY"] == ""


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"KEY\n", ":1: a line NAME=value"), (b"A=1\n1=2\n", ":2: a line"), (b"\xff", "not text")],
)
def test_a_file_that_is_none_is_told_without_its_content(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    file = tmp_path / "environment"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=expected):
        environment.of(USER, str(file))


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        environment.of(USER, str(tmp_path / "none"))

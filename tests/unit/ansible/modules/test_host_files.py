from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.module import answer_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("both_ways")


@pytest.fixture
def place(tmp_path: Path) -> Any:
    """Give a function that runs the module as Ansible does and returns its answer."""

    def run(*files: dict[str, Any], check: bool = False) -> dict[str, Any]:
        arguments = {
            "files": list(files),
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_remote_tmp": str(tmp_path / "ansible-tmp"),
        }
        return answer_of("host_files", arguments)

    return run


def test_a_file_is_written_once_with_its_mode(place: Any, tmp_path: Path) -> None:
    entry = {"path": str(tmp_path / "f"), "content": "hello\n", "mode": "0640"}
    first = place(entry)
    assert first["changed"]
    assert first["paths"] == [entry["path"]]
    assert (tmp_path / "f").read_text() == "hello\n"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
    assert not place(entry)["changed"]


def test_a_changed_mode_is_put_right(place: Any, tmp_path: Path) -> None:
    entry = {"path": str(tmp_path / "f"), "content": "x", "mode": "0600"}
    place(entry)
    (tmp_path / "f").chmod(0o644)
    assert place(entry)["changed"]
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def test_check_mode_says_what_would_change_and_changes_nothing(place: Any, tmp_path: Path) -> None:
    answer = place(
        {"path": str(tmp_path / "d"), "state": "directory", "mode": "0755"},
        {"path": str(tmp_path / "d" / "f"), "content": "x", "owner": "no-such-user"},
        {"path": str(tmp_path / "l"), "state": "link", "target": "d"},
        check=True,
    )
    assert answer["paths"] == [str(tmp_path / name) for name in ("d", "d/f", "l")]
    assert answer["diff"][1]["after"] == "x"
    assert not (tmp_path / "d").exists()


def test_a_file_that_is_not_valid_leaves_the_old_one(place: Any, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    answer = place({"path": str(path), "content": "new", "validate": "grep -q old %s"})
    assert answer["failed"]
    assert "was left as it is" in answer["msg"]
    assert path.read_text() == "old"


def test_a_secret_never_stands_in_the_diff(place: Any, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old-secret")
    answer = place({"path": str(path), "content": "new-secret", "secret": True})
    assert "secret\n" not in json.dumps(answer["diff"]).replace("(secret)", "")
    assert "old-secret" not in json.dumps(answer["diff"])
    assert path.read_text() == "new-secret"


def test_a_link_is_switched_in_one_step(place: Any, tmp_path: Path) -> None:
    link = tmp_path / "current"
    for target in ("releases/1", "releases/2"):
        assert place({"path": str(link), "state": "link", "target": target})["changed"]
        assert str(link.readlink()) == target
    assert not place({"path": str(link), "state": "link", "target": "releases/2"})["changed"]


def test_absent_removes_files_and_folders(place: Any, tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    entry = {"path": str(tmp_path / "d"), "state": "absent"}
    assert place(entry)["changed"]
    assert not (tmp_path / "d").exists()
    assert not place(entry)["changed"]


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077], ids=["000", "027", "077"])
def test_no_mode_is_left_to_the_umask(place: Any, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        place(
            {"path": str(tmp_path / "above" / "it" / "d"), "state": "directory"},
            {"path": str(tmp_path / "above" / "s"), "state": "directory", "mode": "0700"},
            {"path": str(tmp_path / "above" / "f"), "content": "x"},
            {"path": str(tmp_path / "above" / "s" / "t"), "content": "x", "mode": "0600"},
        )
    finally:
        os.umask(before)
    found = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777
        for path in [tmp_path / "above", *(tmp_path / "above").rglob("*")]
    }
    assert found == {
        "above": 0o755,
        "above/it": 0o755,
        "above/it/d": 0o755,
        "above/s": 0o700,
        "above/f": 0o644,
        "above/s/t": 0o600,
    }

from __future__ import annotations

import os
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from library import release_archive

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, Any]:
    package = tmp_path / "agent_thing"
    (package / "web").mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (package / "web" / "page.html").write_text("<p>")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"stale")
    return {
        "name": "agent-thing",
        "package": str(package),
        "files": {"sysusers.conf": "u thing -\n"},
        "requirements": None,
        "python": None,
        "machine": None,
        "cache": str(tmp_path / "cache"),
    }


def test_a_release_is_named_by_version_and_content_and_built_once(
    parameters: dict[str, Any], tmp_path: Path
) -> None:
    first = release_archive.build(parameters)
    assert first["built"]
    assert first["release"].startswith("1.2.3-")
    assert release_archive.build(parameters) == {**first, "built": False}
    (tmp_path / "agent_thing" / "new.py").write_text("")
    assert release_archive.build(parameters)["release"] != first["release"]


def test_packages_that_several_programs_share_are_in_the_release(
    parameters: dict[str, Any], tmp_path: Path
) -> None:
    alone = release_archive.build(parameters)
    shared = tmp_path / "agent_shared"
    shared.mkdir()
    (shared / "__init__.py").write_text("")
    built = release_archive.build({**parameters, "more_packages": [str(shared)]})
    assert built["release"] != alone["release"]
    with tarfile.open(built["archive"]) as tar:
        assert (
            f"agent-thing/releases/{built['release']}/agent_shared/__init__.py" in tar.getnames()
        )


def test_what_python_cached_does_not_count(parameters: dict[str, Any], tmp_path: Path) -> None:
    first = release_archive.build(parameters)
    (tmp_path / "agent_thing" / "__pycache__" / "y.pyc").write_bytes(b"other")
    assert release_archive.build(parameters)["release"] == first["release"]


def test_the_archive_holds_the_release_below_its_name(parameters: dict[str, Any]) -> None:
    built = release_archive.build(parameters)
    top = f"agent-thing/releases/{built['release']}"
    with tarfile.open(built["archive"]) as tar:
        files = {entry.name: entry for entry in tar.getmembers() if entry.isfile()}
        release = tar.extractfile(f"{top}/RELEASE")
        assert release is not None
        assert release.read().decode() == f"{built['release']}\n"
    assert set(files) == {
        f"{top}/{name}"
        for name in (
            "agent_thing/__init__.py",
            "agent_thing/web/page.html",
            "sysusers.conf",
            "RELEASE",
        )
    }
    assert {entry.uname for entry in files.values()} == {"root"}


def test_old_archives_are_removed(parameters: dict[str, Any], tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / "agent_thing" / "n.py").write_text(f"N = {number}\n")
        release_archive.build(parameters)
    assert len(list((tmp_path / "cache" / "releases").iterdir())) == release_archive.KEEP_ARCHIVES


def test_a_package_without_version_is_refused(parameters: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "agent_thing" / "__init__.py").write_text("")
    with pytest.raises(ValueError, match="no __version__"):
        release_archive.build(parameters)


@pytest.mark.parametrize("umask", [0o002, 0o027, 0o077], ids=["002", "027", "077"])
def test_every_operator_of_the_clone_can_read_what_is_built(
    parameters: dict[str, Any], tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        built = release_archive.build(parameters)
    finally:
        os.umask(before)
    cache = tmp_path / "cache"
    modes = {path: path.stat().st_mode & 0o777 for path in (cache, *cache.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o755}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o644}
    with tarfile.open(built["archive"]) as tar:
        assert {entry.mode for entry in tar if entry.isdir()} == {0o755}
        assert {entry.mode for entry in tar if entry.isfile()} == {0o644}


def test_every_folder_that_is_unpacked_has_an_entry(parameters: dict[str, Any]) -> None:
    built = release_archive.build(parameters)
    with tarfile.open(built["archive"]) as tar:
        names = tar.getnames()
    assert "agent-thing" in names
    for number, name in enumerate(names):
        assert all(
            str(parent) in names[:number]
            for parent in PurePosixPath(name).parents
            if str(parent) != "."
        ), name


LOCK = """# by make lock
flask==3.1 \\
    --hash=sha256:aa
pip==26.3 \\
    --hash=sha256:bb
"""
MORE = """# by make lock
pip==26.3 \\
    --hash=sha256:bb
psycopg==3.3.9 \\
    --hash=sha256:cc
"""


def test_what_two_lock_files_have_in_common_stands_once() -> None:
    both = release_archive.merged([LOCK, MORE])
    assert [line for line in both.splitlines() if "==" in line] == [
        "flask==3.1 \\",
        "pip==26.3 \\",
        "psycopg==3.3.9 \\",
    ]
    assert release_archive.merged([LOCK]) == LOCK


def test_wheels_made_here_are_locked_by_their_own_hashes(tmp_path: Path) -> None:
    (tmp_path / "python_etcd-0.4.5-py3-none-any.whl").write_bytes(b"made")
    lock = LOCK + "python-etcd==0.4.5 \\\n    --hash=sha256:dd\n"
    ready, to_make = release_archive.split_lock(lock, ["python-etcd"])
    assert ready == LOCK
    assert to_make.startswith("python-etcd==0.4.5")
    found = release_archive.locked_here(lock, ["python-etcd"], tmp_path)
    assert "dd" not in found.splitlines()[-1]
    assert found.startswith(LOCK)
    assert "python-etcd==0.4.5 --hash=sha256:" in found

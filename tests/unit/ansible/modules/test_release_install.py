"""A release counts as installed once its users have run it, whatever the umask is."""

from __future__ import annotations

import getpass
import os
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from library import release_archive
from tests.support.module import answer_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def strict(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that others may enter, as /opt is. (Each start of pytest closes its own.)"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "bin").mkdir()
        sysusers = folder / "bin" / "systemd-sysusers"
        sysusers.write_text('#!/bin/sh\ntest -r "$1"\n')
        sysusers.chmod(0o755)
        yield folder


def unpacked(home: Path, text: str = "") -> Path:
    """Build a release as the control node does and unpack it as a host does; return its folder."""
    package = home / "agent_thing"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(f'__version__ = "1.2.3"\n{text}')
    built = release_archive.build(
        {
            "name": "agent-thing",
            "package": str(package),
            "cache": str(home / "cache"),
            "files": {"sysusers.conf": "u thing -\n"},
            "requirements": None,
            "python": None,
            "machine": None,
        }
    )
    opt = home / "opt"
    opt.mkdir(exist_ok=True)
    opt.chmod(0o755)
    with tarfile.open(built["archive"]) as tar:
        tar.extractall(opt, filter="fully_trusted")
    return opt / "agent-thing" / "releases" / str(built["release"])


def ask(path: Path, state: str = "looked", **more: Any) -> dict[str, Any]:
    bin_ = str(path.parents[3] / "bin")
    os.environ["PATH"] = f"{bin_}:{os.environ['PATH'].removeprefix(bin_ + ':')}"
    arguments = {
        "path": str(path),
        "state": state,
        "users": [getpass.getuser(), "nobody"],
        "modules": ["agent_thing"],
        "_ansible_remote_tmp": str(path.parents[3] / "ansible-tmp"),
        **more,
    }
    return answer_of("release_install", arguments)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="runs programs as other users")
pytestmark = [needs_root, pytest.mark.usefixtures("both_ways")]


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("strict", [0o027, 0o077], ids=["027", "077"], indirect=True)
def test_a_release_is_open_to_its_users_under_any_umask(home: Path) -> None:
    release = unpacked(home)
    assert not ask(release)["usable"]
    done = ask(release, "complete")
    assert done.get("usable"), done
    closed = [
        path
        for path in [home / "opt", *(home / "opt").rglob("*")]
        if not path.stat().st_mode & (0o001 if path.is_dir() else 0o004)
    ]
    assert closed == []


def test_a_release_that_was_closed_later_counts_as_not_installed(home: Path) -> None:
    release = unpacked(home)
    assert ask(release, "complete")["usable"]
    release.parent.chmod(0o750)
    looked = ask(release)
    assert not looked["usable"]
    assert looked["why"].startswith(f"user nobody cannot run {release}: ")
    unpacked(home)  # as the next rollout does
    assert ask(release, "complete")["usable"]
    assert ask(release)["usable"]


def test_a_release_whose_every_file_was_closed_is_healed(home: Path) -> None:
    release = unpacked(home)
    assert ask(release, "complete")["usable"]
    assert list(release.rglob("__pycache__"))
    for path in [release, *release.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o007)
    assert not ask(release)["usable"]
    unpacked(home)
    done = ask(release, "complete")
    assert done.get("usable"), done
    assert [path for path in release.rglob("*") if not path.stat().st_mode & 0o004] == []


def test_a_folder_that_is_not_ours_is_named_with_what_opens_it(home: Path) -> None:
    release = unpacked(home)
    (home / "opt").chmod(0o750)
    done = ask(release, "complete")
    assert done["failed"]
    assert f"chmod o+x {home / 'opt'}" in done["msg"]
    assert not (release / "INSTALLED").exists()
    assert stat.S_IMODE((home / "opt").stat().st_mode) == 0o750


def test_a_file_that_one_user_cannot_read_is_named(home: Path) -> None:
    release = unpacked(home)
    assert ask(release, "complete")["usable"]
    (release / "RELEASE").chmod(0o600)
    assert f"Permission denied: '{release / 'RELEASE'}'" in ask(release)["why"]


def test_a_program_that_does_not_start_is_no_release(home: Path) -> None:
    release = unpacked(home, "import no_such_module\n")
    done = ask(release, "complete")
    assert done["failed"]
    assert "No module named 'no_such_module'" in done["msg"]
    assert not (release / "INSTALLED").exists()


def test_what_a_failed_command_said_is_told(home: Path) -> None:
    release = unpacked(home)
    (home / "bin" / "systemd-sysusers").write_text("#!/bin/sh\necho 'no room' >&2\nexit 3\n")
    done = ask(release, "complete")
    assert done["failed"]
    assert "systemd-sysusers" in done["msg"]
    assert "(3):\nno room" in done["msg"]


def test_a_user_who_is_not_there_yet_is_named(home: Path) -> None:
    release = unpacked(home)
    assert ask(release, "complete")["usable"]
    assert ask(release, users=["no-such-user"])["why"] == "there is no user no-such-user"

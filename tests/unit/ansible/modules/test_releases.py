from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.module import answer_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("both_ways")


class Host:
    """A folder as a host's /opt/agent-bus, with one settings file beside it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.settings = folder / "settings.json"
        self._tmp = folder / "ansible-tmp"
        (self.home / "releases").mkdir(parents=True)

    def ask(self, state: str = "known", *, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = {
            "home": str(self.home),
            "state": state,
            "files": [str(self.settings)],
            **more,
            "_ansible_check_mode": check,
            "_ansible_remote_tmp": str(self._tmp),
        }
        return answer_of("releases", arguments)

    def place(self, release: str, settings: str) -> None:
        """Do what a rollout does before the gate."""
        (self.home / "releases" / release).mkdir(exist_ok=True)
        (self.home / "current").unlink(missing_ok=True)
        (self.home / "current").symlink_to(f"releases/{release}")
        self.settings.write_text(settings)

    def roll(self, release: str, settings: str, digest: str = "d") -> dict[str, Any]:
        """Do a whole rollout that passes its gate."""
        self.place(release, settings)
        return self.ask("good", release=release, digest=digest)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_fresh_host_knows_nothing(host: Host) -> None:
    known = host.ask()
    assert not known["changed"]
    assert (known["current"], known["applied"], known["good"], known["bad"]) == ("", "", [], {})


def test_what_passed_is_remembered_once(host: Host) -> None:
    first = host.roll("one", "1")
    assert first["changed"]
    assert first["applied"] == "one d\n"
    assert (host.home / "APPLIED").read_text() == "one d\n"
    assert not host.ask("good", release="one", digest="d")["changed"]


def test_a_release_that_failed_gives_way_to_the_one_before_with_its_settings(host: Host) -> None:
    host.roll("one", "1")
    host.settings.chmod(0o640)
    host.roll("one", "1")
    host.place("two", "2")
    back = host.ask("applied", release="two", digest="e", why="no answer")
    assert back["changed"]
    assert (back["back_to"], back["current"], host.settings.read_text()) == ("one", "one", "1")
    assert host.settings.stat().st_mode & 0o777 == 0o640
    assert back["bad"]["two"].endswith("no answer")


def test_settings_that_failed_give_way_without_a_mark_on_the_release(host: Host) -> None:
    host.roll("one", "1")
    host.place("one", "wrong")
    back = host.ask("applied", release="one", digest="e")
    assert (back["back_to"], host.settings.read_text(), back["bad"]) == ("one", "1", {})


def test_what_passed_before_and_fails_unchanged_stays(host: Host) -> None:
    host.roll("one", "1")
    host.roll("two", "2")
    back = host.ask("applied", release="two", digest="d")
    assert not back["changed"]
    assert (back["back_to"], back["current"], back["bad"]) == ("", "two", {})
    assert back["stayed"] == "same"


def test_what_passed_before_and_is_gone_is_told(host: Host) -> None:
    host.roll("one", "1")
    host.place("two", "2")
    (host.home / "releases" / "one").rmdir()
    back = host.ask("applied", release="two", digest="d")
    assert (back["back_to"], back["stayed"]) == ("", "gone")


def test_a_release_that_is_not_to_blame_is_not_noted_as_bad(host: Host) -> None:
    host.roll("one", "1")
    host.place("two", "2")
    back = host.ask("applied", release="two", digest="d", blame=False)
    assert (back["back_to"], back["bad"], back["stayed"]) == ("one", {}, "")


def test_a_first_release_that_fails_has_nothing_before_it_and_may_be_tried_again(
    host: Host,
) -> None:
    host.place("one", "1")
    back = host.ask("applied", release="one", digest="d")
    assert (back["back_to"], back["current"], back["bad"]) == ("", "one", {})
    assert back["stayed"] == "first"


def test_an_operator_goes_back_step_by_step(host: Host) -> None:
    for number in ("one", "two", "three"):
        host.roll(number, number)
    first = host.ask("previous", why="slow")
    assert (first["back_to"], host.settings.read_text()) == ("two", "two")
    second = host.ask("previous", why="slow")
    assert (second["back_to"], host.settings.read_text()) == ("one", "one")
    assert set(second["bad"]) == {"two", "three"}
    assert not host.ask("previous")["changed"]


def test_a_note_that_was_lost_is_written_again(host: Host) -> None:
    host.roll("one", "1")
    (host.home / "APPLIED").unlink()
    assert host.ask()["applied"] == ""
    assert host.ask("good", release="one", digest="d")["changed"]
    assert host.ask()["applied"] == "one d\n"


def test_three_releases_are_kept(host: Host) -> None:
    for number in range(5):
        (host.home / "releases" / f"bad-{number}").mkdir()
        host.roll(f"r{number}", "x")
    assert sorted(p.name for p in (host.home / "releases").iterdir()) == ["r2", "r3", "r4"]
    assert host.ask()["good"] == ["r2", "r3", "r4"]


def test_passing_after_all_takes_the_mark_away(host: Host) -> None:
    host.roll("one", "1")
    host.place("two", "2")
    host.ask("applied", release="two", digest="e")
    assert host.roll("two", "2")["bad"] == {}


def test_a_check_run_changes_nothing(host: Host) -> None:
    host.place("one", "1")
    answer = host.ask("good", release="one", digest="d", check=True)
    assert not answer["changed"]
    assert not (host.home / "APPLIED").exists()

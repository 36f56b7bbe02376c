"""A killed run leaves nothing that hurts the next, and nobody else's container is touched.

With real containers, in a lab of their own: each state is made in the way in which it once came
about.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.engine import living, network
from lab.paths import LAB_ENV, fleet_dir
from tests.lab.conftest import FLEET, kill_run, wait_for_first_container

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lab.conftest import Lab, Stranger


def remove(lab: Lab, strangers: Sequence[Stranger]) -> None:
    """`make clean-demo` removes all of the fleet, and nothing else."""
    down = lab.run(*lab.fleet("down"))
    assert down.returncode == 0, down.stdout + down.stderr
    assert "2 containers removed" in down.stdout
    assert lab.states() == []
    assert living.residents(FLEET) == []
    assert not fleet_dir(FLEET).exists()
    assert not Path("/sys/class/net", network.bridge_name(FLEET)).exists()
    assert [one.name for one in strangers if not one.lives()] == []


def test_whoever_ends_the_namespace_ends_no_fleet(lab: Lab, strangers: Sequence[Stranger]) -> None:
    """Once a process held it; killing that process left hosts that nobody could remove."""
    lab.up()
    assert lab.states() == ["running"] * 2
    lab.run(str(LAB_ENV), "--stop")
    (lab.state / "lock").unlink(missing_ok=True)
    assert lab.states() == ["running"] * 2
    assert "already running" in lab.up()
    remove(lab, strangers)


@pytest.mark.parametrize("again", ["up", "down"])
def test_a_run_killed_while_it_makes_containers(
    lab: Lab, strangers: Sequence[Stranger], again: str
) -> None:
    before = set(lab.monitors())
    run = lab.start(*lab.fleet("up"))
    try:
        wait_for_first_container(lab, before)
    finally:
        kill_run(run)
    if again == "up":
        lab.up()
        assert lab.states() == ["running"] * 2
        remove(lab, strangers)
    else:
        assert lab.run(*lab.fleet("down")).returncode == 0
        assert living.residents(FLEET) == []
        assert [one.name for one in strangers if not one.lives()] == []


def test_hosts_that_podman_calls_created_while_they_run(
    lab: Lab, strangers: Sequence[Stranger]
) -> None:
    """As after any podman that used the same store and did not find the records."""
    lab.up()
    look = f"rm {lab.state}/podman/libpod/alive; podman ps --all"
    looked = lab.run(str(LAB_ENV), "sh", "-c", look)
    assert "Created" in looked.stdout, looked.stderr
    assert lab.states() == ["created"] * 2
    assert len(living.residents(FLEET)) == 2

    lab.up()  # the next run does not start them a second time
    assert lab.states() == ["running"] * 2
    assert len(living.residents(FLEET)) == 2

    lab.run(str(LAB_ENV), "sh", "-c", look)
    assert lab.states() == ["created"] * 2
    # podman's record of the stranger in this store is wrong now, too, but it is alive
    down = lab.run(*lab.fleet("down"))
    assert down.returncode == 0, down.stdout + down.stderr
    assert living.residents(FLEET) == []
    assert [one.name for one in strangers if not Path(f"/proc/{one.pid}").exists()] == []
    assert strangers[1].lives()


def test_a_host_without_monitor_is_removed(lab: Lab, strangers: Sequence[Stranger]) -> None:
    lab.up()
    for resident in living.residents(FLEET):
        subprocess.run(["kill", "-9", str(resident.monitor)], check=True)
    remove(lab, strangers)

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent_bus_client.outbox.clock import boot_id
from agent_bus_client.outbox.draining import MAX_AGE_S
from agent_bus_client.outbox.folder import Outbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.client.outbox.conftest import Machine


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0, 40 * 365 * 86_400.0])
def test_a_wall_clock_that_is_set_ages_nothing(
    tmp_path: Path, machine: Machine, jump_s: float
) -> None:
    box = Outbox(tmp_path, clock=machine.clock)
    box.add("k", {"from": "alpha", "body": "x"})
    machine.wall_s += jump_s
    machine.wait(MAX_AGE_S - 1)
    (entry,) = box.waiting()
    assert box.age_s(entry) == MAX_AGE_S - 1
    machine.wait(2)
    assert box.age_s(entry) > MAX_AGE_S


def test_over_a_reboot_the_wall_is_believed(tmp_path: Path, machine: Machine) -> None:
    box = Outbox(tmp_path, clock=machine.clock)
    entry = box.add("k", {"from": "alpha", "body": "x"})
    machine.wait(3600)
    machine.reboot()
    assert box.age_s(entry) == 3600


def test_both_programs_know_the_boot_by_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = boot_id()
    assert len(here) == 32
    monkeypatch.setenv("AGENT_BUS_BOOT", here)  # systemd's %b
    assert boot_id() == here

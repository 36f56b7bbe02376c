"""Faults under traffic, those side by side whose waiting times allow it.

After each: all that was accepted is delivered, nothing twice, every agent can be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.faults.acts import Acts

DAY_S = 86_400


def test_hub_and_watcher_are_killed(acts: Acts, endured: Callable[..., None]) -> None:
    endured(acts.hub_killed(), acts.watcher_killed("birch"))


def test_a_node_is_cut_off_another_freezes_and_a_gateway_is_down(
    acts: Acts, endured: Callable[..., None]
) -> None:
    endured(
        acts.node_partitioned("birch", lasts_s=60),
        acts.host_frozen("cedar", lasts_s=80),
        acts.gateway_down("dogwood", lasts_s=60),
    )


def test_the_hub_hangs(acts: Acts, endured: Callable[..., None]) -> None:
    endured(acts.hub_hung())


def test_the_hubs_disk_is_full_and_its_clock_jumps(
    acts: Acts, endured: Callable[..., None]
) -> None:
    with acts.altered_hub():
        endured(acts.disk_full("dogwood"), acts.clock_jumped(DAY_S, lasts_s=6))


def test_all_hosts_lose_power(acts: Acts, endured: Callable[..., None]) -> None:
    endured(acts.power_lost())

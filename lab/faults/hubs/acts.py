"""Faults of hubs and hosts: what is done to which host, and how it is undone.

Each is chosen when its turn comes, since it depends on who has the primary then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab.faults.hubs.kills import carry_out, plan
from lab.faults.hubs.trial import CUT_S, LEASE_S, TAKEOVER_S, HubsFault, fault
from lab.fleet import checkout, plays

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.faults.hubs.fleet import HubsFleet
    from lab.faults.hubs.witness import Witness

NEW_VERSION = "99.1.0"
QUIET = {"ANSIBLE_DISPLAY_OK_HOSTS": "false", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "false"}


class HubActs:
    """Makes them."""

    def __init__(self, fleet: HubsFleet, look: Witness) -> None:
        self._fleet = fleet
        self._look = look

    def hub_killed(self) -> HubsFault:
        """All processes of a hub die; systemd starts it again."""
        hub = self._look.standby()
        return HubsFault(
            fault("hub killed", f"SIGKILL to all processes of {hub}'s", self._kill_hub(hub)),
            victims=(hub,),
            pause_s=3,
            move_s=2,
        )

    def hub_beside_primary_killed(self) -> HubsFault:
        """The same for the hub of the primary's host."""
        hub = self._look.leader()
        return HubsFault(
            fault("hub beside the primary killed", f"SIGKILL to {hub}'s", self._kill_hub(hub)),
            victims=(hub,),
            pause_s=3,
            move_s=2,
        )

    def primary_host_killed(self) -> HubsFault:
        """The primary's host loses power, and gets it back once another one leads."""
        hub = self._look.leader()
        return HubsFault(
            fault(
                "primary's host killed",
                f"{hub} loses power",
                lambda: self._fleet.kill_hosts(hub),
                lambda: self._fleet.start_hosts(hub),
                check=lambda: self._look.accepts(besides=hub),
            ),
            victims=(hub,),
            pause_s=TAKEOVER_S,
        )

    def primary_cut(self) -> HubsFault:
        """The primary's host cannot reach the others; clients outside reach all."""
        hub = self._look.leader()
        rules = [
            f"{chain} -{side} {address} -j DROP"
            for host, address in self._fleet.addresses.items()
            if host != hub
            for chain, side in (("INPUT", "s"), ("OUTPUT", "d"))
        ]
        return HubsFault(
            fault(
                "primary's network cut",
                f"packets between {hub} and all other hosts dropped",
                lambda: self._fleet.on(hub, *(f"iptables -A {rule}" for rule in rules)),
                lambda: self._fleet.on(hub, *(f"iptables -D {rule}" for rule in rules)),
                lasts_s=CUT_S,
                check=lambda: self._look.accepts(besides=hub),
            ),
            victims=(hub,),
            silent=(hub,),
            pause_s=TAKEOVER_S,
        )

    def standby_lost(self) -> HubsFault:
        """A host without the primary loses power: nobody waits."""
        hub = self._look.standby()
        return HubsFault(
            fault(
                "standby's host killed",
                f"{hub} loses power",
                lambda: self._fleet.kill_hosts(hub),
                lambda: self._fleet.start_hosts(hub),
                lasts_s=20,
            ),
            victims=(hub,),
            pause_s=5,
            refuses=(),
        )

    def two_hosts_lost(self) -> HubsFault:
        """Two of three lose power: what is left refuses sends, and goes on reading."""
        left = self._look.standby()
        lost = [hub for hub in self._fleet.hubs if hub != left]
        kept = f"kept at {time.time():.0f}"

        def check() -> None:
            self._look.refuses(left, kept)
            self._look.listens(left)

        def end() -> None:
            self._fleet.start_hosts(lost[0])
            self._look.accepts()
            self._fleet.start_hosts(lost[1])
            self._look.arrives(kept)

        return HubsFault(
            fault(
                "two hosts killed",
                f"{' and '.join(lost)} lose power, one comes back, then the other",
                lambda: self._fleet.kill_hosts(*lost),
                end,
                lasts_s=LEASE_S,
                check=check,
            ),
            victims=tuple(lost),
            silent=tuple(self._fleet.hubs),
            others_stay=False,  # the last hub sends its clients away once
        )

    def power_lost(self) -> HubsFault:
        """All hubs lose power at the same moment."""
        hubs = self._fleet.hubs
        return HubsFault(
            fault(
                "power lost",
                "all three hubs lose power at once, and get it back",
                lambda: self._fleet.kill_hosts(*hubs),
                lambda: self._fleet.start_hosts(*hubs),
                lasts_s=3,
            ),
            silent=tuple(hubs),
            others_stay=False,
        )

    def upgrade(self) -> HubsFault:
        """A rerun of site.yml with another release rolls the hubs one after the other."""
        up = self._fleet.running.up
        folder = checkout.copy(up.name, NEW_VERSION)

        def roll() -> None:
            settings = {**QUIET, "ANSIBLE_CONFIG": str(folder / "ansible.cfg")}
            code = plays.play(up, folder / "site.yml", settings=settings)
            assert code == 0, "the rollout of another release failed"

        def check() -> None:
            for hub, api in self._fleet.apis.items():
                version = api.get("/readyz")["version"]
                assert version.startswith(NEW_VERSION), f"{hub} runs {version}"

        return HubsFault(
            fault("upgrade", "site.yml with another release, hub by hub", roll, check=check),
            others_stay=False,
            pause_s=5,
        )

    def random_kills(self, seed: int, minutes: float) -> HubsFault:
        """Processes and hosts die, one after the other, without time to recover."""
        lasts_s = minutes * 60

        def begin() -> None:
            deadline = time.monotonic() + lasts_s
            carry_out(self._fleet, plan(self._fleet.hubs, seed, lasts_s), deadline)

        return HubsFault(
            fault("random kills", f"{minutes:g} minutes of them, seed {seed}", begin),
            others_stay=False,
        )

    def _kill_hub(self, hub: str) -> Callable[[], object]:
        return lambda: self._fleet.on(hub, "systemctl kill --signal=KILL agent-bus")

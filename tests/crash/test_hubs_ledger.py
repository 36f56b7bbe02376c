"""Hubs or their database are killed in traffic: nothing is lost, doubled or left out."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import postgres
from tests.support.hubs import hubs_in, hubs_on
from tests.support.hubs_ledger import Ledger
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from tests.support.hub import HubProcess

LIMITS = {"sends_per_s": 10_000, "send_burst": 10_000}
KILLS = 3


def test_hubs_killed_in_traffic_lose_double_and_leave_out_nothing(tmp_path: Path) -> None:
    with hubs_in(tmp_path, **LIMITS) as hubs:
        ledger = Ledger(hubs)
        ledger.start()
        for n in range(KILLS):
            goal = (n + 1) * ledger.count // (KILLS + 1)
            wait_until(functools.partial(ledger.has, goal), "traffic goes on")
            hubs[n % 2].kill()
            hubs[n % 2].start()
        ledger.check()


def test_a_database_killed_in_traffic_loses_doubles_and_leaves_out_nothing(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        server = postgres.Server(Path(short), fsync=True)
        server.start()
        try:
            with hubs_on([server.url("postgres")] * 2, tmp_path, **LIMITS) as hubs:
                ledger = Ledger(hubs)
                ledger.start()
                for n in range(KILLS):
                    goal = (n + 1) * ledger.count // (KILLS + 1)
                    wait_until(functools.partial(ledger.has, goal), "traffic goes on")
                    server.kill()
                    if n:  # so long that both hubs ask each other what to do
                        wait_until(functools.partial(have_asked, hubs, n), "the hubs have asked")
                    server.start()
                ledger.check()
                for hub in hubs:
                    assert "Traceback" not in hub.log(), hub.log()
        finally:
            server.kill()


def have_asked(hubs: list[HubProcess], times: int) -> bool:
    return all(hub.log().count("The primary was out of reach for") >= times for hub in hubs)

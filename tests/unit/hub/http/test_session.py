"""Sessions of the dashboard on a disk that is full."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import apsw
import gevent
import pytest

from agent_bus.bus.auth import Authenticator, Principal
from agent_bus.bus.directory import Directory
from agent_bus.core import errors
from agent_bus.core.limits import RateLimiter
from agent_bus.http import session as module
from agent_bus.http.call import Call
from agent_bus.http.session import Sessions, cookie_name, cookie_of, set_cookie
from tests.support.clock import FakeClock
from tests.support.faults import faulty_disk
from tests.support.hub import ADMIN, digest
from tests.support.patience import wait_until
from tests.support.store import opened

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.store.sqlite.sqlite_store import SqliteStore

CLOCK = FakeClock()
OPERATOR = Principal(None, digest(ADMIN))
ANYBODY = Call(OPERATOR, None, None)


def sessions(store: SqliteStore) -> Sessions:
    """What a hub that has just started knows."""
    limiter = RateLimiter(per_s=1, burst=10, clock=CLOCK)
    auth = Authenticator(
        admin_digests=frozenset({digest(ADMIN)}), directory=Directory(), failures=limiter
    )
    return Sessions(records=store.records, auth=auth, clock=CLOCK)


def with_cookie(cookie: str) -> Call:
    return Call(OPERATOR, None, None, {"cookie": f"{cookie_name(ANYBODY)}={cookie}"})


def test_the_operator_signs_in_on_a_full_disk_until_a_restart(tmp_path: Path) -> None:
    with faulty_disk() as disk, opened(tmp_path, clock=CLOCK) as store:
        hub = sessions(store)
        code = hub.link(OPERATOR)
        disk.writes = itertools.repeat(apsw.FullError("no space left"))
        for secret in (code, ADMIN):
            call = with_cookie(hub.open(ANYBODY, secret))
            assert hub.require(call) == OPERATOR
            with pytest.raises(errors.UnauthenticatedError):
                sessions(store).require(call)
        disk.writes = iter(())


def test_a_sign_out_on_a_full_disk_holds_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    with faulty_disk() as disk, opened(tmp_path, clock=CLOCK) as store:
        hub = sessions(store)
        calls = [with_cookie(hub.open(ANYBODY, ADMIN)) for _ in range(3)]
        disk.writes = itertools.repeat(apsw.FullError("no space left"))
        for call in calls[:2]:
            hub.close(call)
            with pytest.raises(errors.UnauthenticatedError):
                hub.require(call)
        disk.writes = iter(())

        def is_one_kept() -> bool:
            return len(store.records.sessions(steady=CLOCK.steady_ms())) == 1

        wait_until(is_one_kept, "the others are signed out on the disk", pause=gevent.sleep)
        assert sessions(store).require(calls[2]) == OPERATOR


def test_each_scheme_and_port_has_a_cookie_of_its_own() -> None:
    ways = [
        Call(OPERATOR, None, None, {"host": host}, scheme=scheme)
        for scheme in ("http", "https")
        for host in ("t440:8091", "t440:8092", "[fd00::1]:8091", "t440", "[fd00::1]")
    ]
    assert {cookie_name(call) for call in ways} == {
        "agent_bus_session", "agent_bus_session_8091", "agent_bus_session_8092",
        "__Host-agent_bus_session", "__Host-agent_bus_session_8091",
        "__Host-agent_bus_session_8092",
    }  # fmt: skip
    for call in ways:
        name, _, rest = set_cookie(call, "abc").partition("=")
        assert ("; Secure" in rest) == name.startswith("__Host-") == (call.scheme == "https")
        assert "Domain" not in rest
        shelf = "; ".join(f"{cookie_name(other)}={n}" for n, other in enumerate(ways))
        headers = {**call.headers, "cookie": shelf}
        shown = cookie_of(Call(OPERATOR, None, None, headers, scheme=call.scheme))
        assert cookie_name(ways[int(shown)]) == name

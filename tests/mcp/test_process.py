"""`agent-bus mcp` as a process of an official client: what it claims, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.mcp_clients import KINDS, Kind, Led

if TYPE_CHECKING:
    from tests.mcp.conftest import Fleet


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_it_claims_nothing_before_the_first_call_however_often_it_is_started(
    kind: Kind, fleet: Fleet
) -> None:
    server = fleet.stdio()
    sent = fleet.from_gamma("waits")
    with Led(kind, server.order(), fleet.new_folder()) as client:
        client.do("list")
        (waiting,) = fleet.inbox("alpha")
        assert (waiting["id"], waiting["fetch_count"]) == (sent, 0)
        assert "waits" in client.call("inbox")
    twice = kind == Kind("v2", "auto")
    assert server.exit_codes() == [0] * (2 if twice else 1)


def test_it_ends_with_its_client_in_the_middle_of_a_wait_and_loses_nothing(
    each: Kind, fleet: Fleet
) -> None:
    server = fleet.stdio()
    client = Led(each, server.order(), fleet.new_folder())
    try:
        client.begin("call", tool="inbox", arguments={"wait_s": 50})
        client.call("agents")
    finally:
        client.end()  # killed: nobody says goodbye
    assert set(server.exit_codes()) == {0}
    fleet.from_gamma("for whoever comes next")
    with Led(each, server.order(), fleet.new_folder()) as another:
        assert "for whoever comes next" in another.call("inbox")

"""What the official clients see of a hub that restarts, is away, or does not know the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mcp.conftest import Way
from tests.support.mcp_clients import Kind, Led, Refused
from tests.support.node_side import fetch, token_of

if TYPE_CHECKING:
    from tests.mcp.conftest import Fleet


CONNECTION_CLOSED = -32000


def bodies(fleet: Fleet, of: str) -> list[str]:
    return [message["body"] for message in fleet.inbox(of)]


def test_a_client_goes_on_when_the_hub_was_restarted(client: Led, fleet: Fleet) -> None:
    client.call("send", to="gamma", body="before")
    fleet.hub.process.stop()
    fleet.hub.start()
    client.call("send", to="gamma", body="after")
    assert bodies(fleet, "gamma") == ["before", "after"]


def test_what_is_sent_over_stdio_while_the_hub_is_away_arrives_when_it_is_back(
    each: Kind, fleet: Fleet
) -> None:
    way = Way(each, "stdio", fleet)
    with way.client() as client:
        fleet.hub_goes()
        assert "Kept in the outbox" in client.call("send", to="gamma", body="while away")
        assert f"127.0.0.1:{fleet.hub.port} does not answer" in client.failing("inbox")
        fleet.hub.start()
        client.call("send", to="gamma", body="back")
    assert bodies(fleet, "gamma") == ["while away", "back"]


def test_over_http_a_hub_that_is_away_is_an_error_and_nothing_is_sent(
    each: Kind, fleet: Fleet
) -> None:
    client = Way(each, "http", fleet).client()
    try:
        fleet.hub_goes()
        with pytest.raises(Refused) as refused:
            client.call("send", to="gamma", body="while away")
        fleet.hub.start()
        if each.client == "python":  # one failed request ends it
            assert refused.value.code == CONNECTION_CLOSED
        else:
            client.call("send", to="gamma", body="back")
    finally:
        client.end()  # a client that broke off says so with a traceback
    with Way(each, "http", fleet).client() as another:
        another.call("send", to="gamma", body="anew")
    assert bodies(fleet, "gamma") == ["back", "anew"][each.client == "python" :]


def test_a_token_that_the_hub_does_not_know_is_an_error_that_says_so(
    each: Kind, fleet: Fleet
) -> None:
    led = Led(each, fleet.http(token="wrong"), fleet.new_folder())
    try:
        said = led.said["failed"]
    finally:
        led.end()
    assert ("401" if str(each) == "v2-auto" else "oken") in said


def test_a_token_of_another_node_speaks_for_its_own_agent_only(each: Kind, fleet: Fleet) -> None:
    order = fleet.http(token=token_of("n2"), agent="alpha")
    with Led(each, order, fleet.new_folder()) as client:
        assert "for gamma, not for alpha" in client.failing("inbox")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_is_no_stream_to_open_and_no_session_to_delete(method: str, fleet: Fleet) -> None:
    answer = fetch(fleet.hub.url, "/mcp", method=method, token=token_of("n1"))
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"

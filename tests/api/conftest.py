from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.hub import STORE_VARIABLE, HubProcess, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ON_BOTH: Final = {
    "test_a2a",
    "test_a2a_rights",
    "test_agent_tokens",
    "test_escalation",
    "test_guests",
    "test_mcp",
    "test_questions",
    "test_rights",
    "test_send",
    "test_stream",
    "test_token_matrix",
}
"""Modules whose tests run on both stores in every run: send, inbox, ack, receipts, streams, A2A,
guests, MCP, rights. `make api AGENT_BUS_STORE=postgres` runs all of them on PostgreSQL."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.module.__name__.rpartition(".")[2]
    if module in ON_BOTH and STORE_VARIABLE not in os.environ:
        stores = ["sqlite", "postgres"]
        metafunc.parametrize("on_store", stores, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def on_store(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hubs of a module in ON_BOTH run on one store, then on the other."""
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(request, "param"):
            patch.setenv(STORE_VARIABLE, request.param)
        yield


@pytest.fixture(scope="module")
def hub(on_store: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for the tests of a module; they use different agents or look at their own ids."""
    with running(tmp_path_factory.mktemp("hub"), sends_per_s=10_000, send_burst=10_000) as one:
        yield one

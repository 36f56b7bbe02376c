from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.a2a_clients import KINDS, Kind, Led
from tests.support.hub import HubProcess, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    with running(tmp_path_factory.mktemp("hub")) as one:
        yield one


@pytest.fixture(scope="module", params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(scope="module")
def client(kind: Kind, hub: HubProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Led]:
    """The agent delta, which asks alpha by an official client; one for the tests of a module."""
    led = Led(kind, hub, tmp_path_factory.mktemp("client"), token="token-n3", agent="alpha")
    yield led
    led.end()

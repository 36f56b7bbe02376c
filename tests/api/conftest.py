from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hub import HubProcess, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for the tests of a module; they use different agents or look at their own ids."""
    with running(tmp_path_factory.mktemp("hub"), sends_per_s=10_000, send_burst=10_000) as one:
        yield one

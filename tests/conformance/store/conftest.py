"""Every backend that there is, one after the other, behind the contract alone."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

import tests.support.dice  # noqa: F401 - sets property tests up
from tests.support.store import BACKENDS, enrolled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agent_bus.store.contract import Backend


@pytest.fixture(params=sorted(BACKENDS))
def opened(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[..., AbstractContextManager[Backend]]:
    """Opens a backend where it finds again what it kept; takes `clock` and `listener`."""
    return functools.partial(BACKENDS[request.param], tmp_path)


@pytest.fixture
def store(opened: Callable[..., AbstractContextManager[Backend]]) -> Iterator[Backend]:
    """A store with the test roster."""
    with opened() as one:
        yield enrolled(one)

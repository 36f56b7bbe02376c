from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import tests.support.dice  # noqa: F401 - sets property tests up
from tests.support.store import enrolled, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.store.sqlite.sqlite_store import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store with the test roster."""
    with opened(tmp_path) as one:
        yield enrolled(one)

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.store import enrolled, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.store.sqlite.sqlite_store import SqliteStore

SLOW = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture]
hypothesis.settings.register_profile(  # small shared machines: time says nothing about the code
    "shared", deadline=None, suppress_health_check=SLOW
)
hypothesis.settings.register_profile(  # make soak: hours of dice instead of seconds
    "soak", deadline=None, suppress_health_check=SLOW, max_examples=5000, stateful_step_count=200
)
hypothesis.settings.load_profile(os.environ.get("AGENT_BUS_HYPOTHESIS", "shared"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store with the test roster."""
    with opened(tmp_path) as one:
        yield enrolled(one)

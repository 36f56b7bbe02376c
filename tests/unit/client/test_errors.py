from __future__ import annotations

import pytest

from agent_bus_client.errors import HubRefusedError


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (429, "thread_budget_exhausted", 1),
        (404, "unknown_agent", 1),
        (403, "forbidden", 77),
        *((status, "anything", 75) for status in (408, 429, 500, 502, 503, 504, 507)),
    ],
)
def test_only_what_can_pass_is_for_later(status: int, code: str, exit_code: int) -> None:
    error = HubRefusedError(status, {"code": code}, retry_after_s=None)
    assert error.exit_code == exit_code
    assert error.later == (exit_code == 75)

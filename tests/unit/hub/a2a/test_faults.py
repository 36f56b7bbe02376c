from __future__ import annotations

import pytest

from agent_bus.a2a import faults
from agent_bus.a2a.faults import A2AError
from agent_bus.core import errors


@pytest.mark.parametrize(
    ("problem", "code", "status", "reason"),
    [
        (errors.UnknownAgentError("x", [], field="to"), -32602, 404, "INVALID_PARAMS"),
        (errors.AgentRetiredError("x"), -32602, 409, "INVALID_PARAMS"),
        (errors.TooLargeError(10), -32602, 413, "INVALID_PARAMS"),
        (errors.ForbiddenError("no"), -32091, 403, "FORBIDDEN"),
        (errors.RateLimitedError("x", per_s=1, retry_after_s=2), -32090, 429, "RATE_LIMITED"),
        (errors.ThreadBudgetError("x", 2), -32090, 429, "THREAD_BUDGET_EXHAUSTED"),
        (errors.NoPrimaryError(), -32090, 503, "NO_PRIMARY"),
        (errors.CommitUnknownError(), -32090, 503, "COMMIT_UNKNOWN"),
        (errors.DiskFullError(), -32090, 507, "DISK_FULL"),
        (errors.InternalError(), -32603, 500, "INTERNAL_ERROR"),
    ],
)
def test_a_problem_keeps_its_status_and_says_whether_to_come_again(
    problem: errors.BusError, code: int, status: int, reason: str
) -> None:
    found = faults.of_problem(problem)
    assert (found.kind.code, found.kind.status, found.kind.reason) == (code, status, reason)
    assert found.facts["problem"] == problem.code
    assert found.words == problem.detail


def test_details_name_the_reason_the_field_and_the_time() -> None:
    error = A2AError(faults.INVALID_PARAMS, "wrong", "f", {"k": "v"}, retry_after_s=0.2)
    info, request, retry = error.details()
    assert info == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "INVALID_PARAMS",
        "domain": "a2a-protocol.org",
        "metadata": {"k": "v"},
    }
    assert request["fieldViolations"] == [{"field": "f", "description": "wrong"}]
    assert retry["retryDelay"] == "1s"


def test_every_refusal_of_the_bus_has_a_word_of_grpc() -> None:
    for error in errors.BusError.__subclasses__():
        assert error.status in faults._WORDS or error.status in {400, 401, 405, 413, 422}, error


def test_a_strange_id_is_shown_in_ascii() -> None:
    assert faults.task_not_found("\ud800").facts["taskId"] == "\\ud800"

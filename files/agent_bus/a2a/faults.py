"""What an A2A client is told when it cannot have what it wants: all errors, on both bindings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_bus.core import errors

DOMAIN: Final = "a2a-protocol.org"
OWN_DOMAIN: Final = "agent-bus"
_TYPE: Final = "type.googleapis.com/google.rpc."


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of error: JSON-RPC's code, HTTP's status, gRPC's word and A2A's reason."""

    code: int
    status: int
    word: str
    reason: str
    domain: str = DOMAIN


TASK_NOT_FOUND: Final = Kind(-32001, 404, "NOT_FOUND", "TASK_NOT_FOUND")
TASK_NOT_CANCELABLE: Final = Kind(-32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE")
NO_PUSH: Final = Kind(-32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED")
UNSUPPORTED: Final = Kind(-32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION")
NO_SUCH_CONTENT: Final = Kind(-32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED")
NO_EXTENDED_CARD: Final = Kind(
    -32007, 400, "FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED"
)
NO_SUCH_VERSION: Final = Kind(-32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED")
NO_JSON: Final = Kind(-32700, 400, "INVALID_ARGUMENT", "JSON_PARSE_ERROR")
INVALID_REQUEST: Final = Kind(-32600, 400, "INVALID_ARGUMENT", "INVALID_REQUEST")
NO_SUCH_METHOD: Final = Kind(-32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND")
INVALID_PARAMS: Final = Kind(-32602, 400, "INVALID_ARGUMENT", "INVALID_PARAMS")

LATER_CODE: Final = -32090
"""The same request may succeed later: JSON-RPC leaves -32000 to -32099 to servers."""
NOT_ALLOWED_CODE: Final = -32091
"""The token does not allow this."""
_WORDS: Final = {
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    507: "RESOURCE_EXHAUSTED",
}


class A2AError(Exception):
    """An error that is answered to an A2A client.

    Attributes:
        words: what is wrong, and what to do about it.
        field: the offending field.
        facts: more for programs.
    """

    def __init__(
        self,
        kind: Kind,
        words: str,
        field: str | None = None,
        facts: Mapping[str, str] | None = None,
        *,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(words)
        self.kind = kind
        self.words = words
        self.field = field
        self.facts = dict(facts or {})
        self.retry_after_s = retry_after_s

    def details(self) -> list[dict[str, Any]]:
        """The details as both bindings carry them."""
        kind = self.kind
        info = {"@type": f"{_TYPE}ErrorInfo", "reason": kind.reason, "domain": kind.domain}
        found: list[dict[str, Any]] = [info | ({"metadata": self.facts} if self.facts else {})]
        if self.field is not None:
            violation = {"field": self.field, "description": self.words}
            found.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
        if self.retry_after_s is not None:
            delay = f"{max(1, math.ceil(self.retry_after_s))}s"
            found.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": delay})
        return found


def of_problem(error: errors.BusError) -> A2AError:
    """A refusal of the bus in A2A's words; the problem's code stands in `metadata.problem`."""
    facts = {"problem": error.code}
    if error.status == 403:  # noqa: PLR2004 - Forbidden
        kind = _own(NOT_ALLOWED_CODE, error)
    elif error.status == 429 or error.status > 500:  # noqa: PLR2004 - now, not for good
        kind = _own(LATER_CODE, error)
    elif error.status == 500:  # noqa: PLR2004 - a defect
        kind = Kind(-32603, 500, "INTERNAL", "INTERNAL_ERROR")
    else:
        word = _WORDS.get(error.status, "INVALID_ARGUMENT")
        kind = Kind(INVALID_PARAMS.code, error.status, word, INVALID_PARAMS.reason)
    return A2AError(kind, error.detail, error.field, facts, retry_after_s=error.retry_after_s)


def _own(code: int, error: errors.BusError) -> Kind:
    word = _WORDS.get(error.status, "UNAVAILABLE")
    return Kind(code, error.status, word, error.code.upper(), OWN_DOMAIN)


def task_not_found(task_id: str) -> A2AError:
    """No such task, or another's: which of both is not said."""
    words = "There is no such task that this token's agents have given to this agent."
    return A2AError(TASK_NOT_FOUND, words, facts={"taskId": ascii(task_id)[1:-1][:64]})

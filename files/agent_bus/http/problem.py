"""Errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import math
from typing import Final

from agent_bus.core import errors
from agent_bus.http.call import Answer

MEDIA_TYPE: Final = "application/problem+json"


def answer(error: errors.BusError) -> Answer:
    """The problem document of an error, with `Retry-After` where the time is known."""
    content: dict[str, object] = {
        "type": f"urn:agent-bus:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
    }
    if error.field is not None:
        content["field"] = error.field
    content.update(error.extra)
    headers = {"Content-Type": MEDIA_TYPE}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 401:  # noqa: PLR2004 - Unauthorized names itself
        headers["WWW-Authenticate"] = 'Bearer realm="agent-bus"'
    if isinstance(error, errors.WrongMethodError):
        headers["Allow"] = ", ".join(error.allowed)
    return Answer(error.status, content, headers)

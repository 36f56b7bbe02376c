"""The base of all errors that a caller of the bus can get."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class BusError(Exception):
    """Base of all errors that are answered to a caller.

    Attributes:
        detail: what is wrong with this very request, and what to do about it.
        field: the offending field or query parameter, where there is one.
        retry_after_s: seconds after which the same request may succeed, where that is known.
        extra: further members of the problem document (JSON values).
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s
        self.extra = dict(extra or {})

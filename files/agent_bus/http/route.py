"""A route: one method of one path, and all that holds for its calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from agent_bus.core import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.http.call import Answer, Call

Access = Literal["token", "admin", "scrape", "open"]
Problems = tuple[type[errors.BusError], ...]


class NoQuery(BaseModel):
    """A call that takes no query parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Paths stand below `/api` unless `at_root`; `unprefixed` ones also answer without it, as the
    first bus's clients ask for them. `problems` are those of this very call; what any call can
    answer is added by the document. `admin` only describes: the endpoint refuses.
    A body from the admin token may have `body_bytes`, where that is more than the hub's limit.
    """

    method: str
    path: str
    endpoint: Callable[[Call], Answer]
    summary: str
    description: str = ""
    query: type[BaseModel] = NoQuery
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    body_bytes: int = 0
    problems: Problems = ()
    access: Access = "token"
    media_type: str = "application/json"
    unprefixed: bool = False
    at_root: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it answers; the first is the one to use."""
        if self.at_root:
            return (self.path,)
        prefixed = f"/api{self.path}"
        return (prefixed, self.path) if self.unprefixed else (prefixed,)

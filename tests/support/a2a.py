"""A small A2A client for tests; what real clients do is in tests/a2a."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.hub import Client, Reply

_NUMBERS = itertools.count(1)


class RefusedError(Exception):
    """A JSON-RPC error; `error` is its object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error
        self.code: int = error["code"]
        self.reason: str = error["data"][0]["reason"]


class Asker:
    """Asks one agent by JSON-RPC."""

    def __init__(
        self, client: Client, agent: str, *, speaks_for: str | None = None, version: str = "1.0"
    ) -> None:
        self.client = client
        self.agent = agent
        self._headers = {"Content-Type": "application/json"}
        if version != "0.3":
            self._headers["A2A-Version"] = version
        if speaks_for is not None:
            self._headers["Agent-Bus-Agent"] = speaks_for

    def raw(self, body: Any) -> Reply:
        """POST any body."""
        return self.client.call("POST", f"/a2a/{self.agent}", body, self._headers)

    def call(self, method: str, params: Any = None) -> Any:
        """One request's result.

        Raises:
            RefusedError: it was answered an error.
        """
        number = next(_NUMBERS)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        reply = self.raw(request)
        assert reply.status == 200, reply.body
        assert reply.body["jsonrpc"] == "2.0"
        assert reply.body["id"] == number
        if "error" in reply.body:
            raise RefusedError(reply.body["error"])
        return reply.body["result"]

    def send(self, body: str, *, waits: bool = False, **message: Any) -> Any:
        """Send a text; answers the task."""
        params = {
            "message": {
                "messageId": f"m{next(_NUMBERS)}",
                "role": "ROLE_USER",
                "parts": [{"text": body}],
                **message,
            },
            "configuration": {"returnImmediately": not waits},
        }
        return self.call("SendMessage", params)["task"]

    def get(self, task_id: str, **params: Any) -> Any:
        """A task."""
        return self.call("GetTask", {"id": task_id, **params})


def text(of: dict[str, Any]) -> str:
    """The text of a message or artifact."""
    return "\n".join(part["text"] for part in of["parts"] if "text" in part)

"""A2A 1.0 and 0.3 at a real hub: cards, tasks, both bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.a2a import Asker, text

if TYPE_CHECKING:
    from tests.support.hub import HubProcess


@pytest.fixture
def alpha(hub: HubProcess) -> Asker:
    """Agent delta asks alpha, by 1.0's JSON-RPC."""
    return Asker(hub.client("n3"), "alpha")


def test_a_request_is_a_message_and_its_reply_completes_the_task(
    hub: HubProcess, alpha: Asker
) -> None:
    made = alpha.send("what is 6 * 7?")
    assert made["status"]["state"] == "TASK_STATE_SUBMITTED"
    agent = hub.client("n1")
    (mail,) = agent.get("/api/inbox?agent=alpha").body["messages"]
    assert (mail["from_agent"], mail["body"]) == ("delta", "what is 6 * 7?")
    assert alpha.get(made["id"])["status"]["state"] == "TASK_STATE_WORKING"
    reply = {"from": "alpha", "to": "delta", "reply_to": mail["id"]}
    agent.send("42", **reply)
    done = alpha.get(made["id"])
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    assert [text(one) for one in done["artifacts"]] == ["42"]
    assert [(one["role"], text(one)) for one in done["history"]] == [
        ("ROLE_USER", "what is 6 * 7?"),
        ("ROLE_AGENT", "42"),
    ]

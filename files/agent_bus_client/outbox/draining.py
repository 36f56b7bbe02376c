"""Sends what waits in the outbox.

Each message got its idempotency key when it was made, so two programs that drain at once deliver
it once. The hub remembers keys for 24 h. So what is older than 20 h goes to `failed/` instead of
risking a second copy, and so does what has expired. All else is posted unchanged, with its
original expiry: the hub refuses another body under a key that it knows.
"""

from __future__ import annotations

import os
from types import MappingProxyType

from agent_bus_client.errors import ClientError, HubRefusedError, HubUnreachableError
from agent_bus_client.outbox.folder import TO_SENDER_OF, Entry, Outbox
from agent_bus_client.record import Record
from agent_bus_mcp.words.message import answering

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.hub.transport import HubClient

MAX_AGE_S = 20 * 3600


class Drained(Record):
    """What one run has done, in messages."""

    sent: int
    failed: int
    waiting: int


def addressed(request: dict[str, Any], hub: HubClient | Hubs) -> dict[str, Any]:
    """Return the body of `POST /api/send`; a reply gets its recipient from the message it answers.

    Raises:
        ClientError: see `HubClient.call`.
    """
    if TO_SENDER_OF not in request:
        return request
    original = hub.message(request[TO_SENDER_OF])
    plain = {name: value for name, value in request.items() if name != TO_SENDER_OF}
    return answering(plain, original)


def drain(
    box: Outbox,
    hub: HubClient | Hubs,
    *,
    sender: str | None = None,
    own: Mapping[str, HubClient | Hubs] = MappingProxyType({}),
    writers: Mapping[str, int] = MappingProxyType({}),
    judges: bool = False,
) -> Drained:
    """Send what waits, in order per sender; stop at the first sign that the hub is away.

    A file that cannot be moved or removed, for want of rights or room, stays, and so does all that
    its sender has after it.

    Args:
        box: the outbox.
        hub: sends for all agents but those of `own`.
        sender: only what this agent has sent.
        own: the hub as agents with tokens of their own see it.
        writers: the users (numbers) of those agents. All users of the bus share the folder, so
            such a token only sends what its agent's user wrote, or who drains, or root.
        judges: give up what somebody else wrote; otherwise it stays for who does.
    """
    sent = failed = 0
    stuck: set[str] = set()
    waiting = [entry for entry in box.waiting() if sender in {None, entry.sender}]
    for entry in waiting:
        if entry.sender in stuck:
            continue
        is_forged = not _is_by_its_sender(entry, writers)
        if is_forged and not judges:
            stuck.add(entry.sender)
            continue
        try:
            if is_forged:
                box.give_up(entry, f"the file may be by another user than {entry.sender}'s")
                failed += 1
                continue
            refusal = _refusal(box, own.get(entry.sender, hub), entry)
            if refusal:
                box.give_up(entry, refusal)
                failed += 1
            else:
                box.remove(entry)
                sent += 1
        except HubRefusedError as error:
            if error.status == 401 and entry.sender not in own:  # noqa: PLR2004 - see below
                break  # none of the node's other agents can send now
            stuck.add(entry.sender)
        except ClientError:
            break
        except OSError as error:
            _log_stuck(entry, error)
            stuck.add(entry.sender)
    return Drained(sent, failed, len(waiting) - sent - failed)


def _is_by_its_sender(entry: Entry, writers: Mapping[str, int]) -> bool:
    """Tell whether a message may go out by the token of the agent that it names."""
    user = writers.get(entry.sender)
    return user is None or entry.written_by in {user, os.geteuid(), 0}


def _refusal(box: Outbox, hub: HubClient | Hubs, entry: Entry) -> str:
    """Send one message; return why it can never be sent, or nothing if it was sent.

    Raises:
        HubRefusedError: it can be sent later, or this node's token is not accepted.
        ClientError: the hub is away.
    """
    if box.age_s(entry) > MAX_AGE_S:
        return "older than 20 h when the hub was back"
    expires_in_s = entry.request.get("expires_in_s")
    if isinstance(expires_in_s, (int, float)) and box.age_s(entry) > expires_in_s:
        return "expired before the hub was back"  # the hub would count from its arrival
    try:
        request = addressed(entry.request, hub)
        _post(box, hub, entry, request)
    except HubRefusedError as error:
        if error.later or error.status == 401:  # noqa: PLR2004 - as in `drain`
            raise
        return str(error)
    return ""


def _post(box: Outbox, hub: HubClient | Hubs, entry: Entry, request: dict[str, Any]) -> None:
    """Post one message; if the answer is missing, note that.

    Raises:
        ClientError: see `HubClient.call`.
    """
    try:
        headers = {"Idempotency-Key": entry.key}
        hub.call("POST", "/api/send", body=request, headers=headers)
    except HubUnreachableError as error:
        if error.sent:
            box.note_maybe_sent(entry)
        raise
    except HubRefusedError as error:
        if error.is_ambiguous:
            box.note_maybe_sent(entry)
        raise


def _log_stuck(entry: Entry, error: OSError) -> None:
    import logging  # a reply comes here for its recipient, and needs none of it

    logger = logging.getLogger(__name__)
    extra = {"path": entry.path, "error": str(error)}
    logger.error("outbox file was not moved, its sender's mail waits", extra=extra)

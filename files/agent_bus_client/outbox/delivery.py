"""Sends a message, after what waits in the outbox; puts it there while the hub is away."""

from __future__ import annotations

import os
import time

from agent_bus_client.errors import (
    ClientError,
    HubRefusedError,
    HubUnreachableError,
    OutboxWaitsError,
    OutcomeUnknownError,
    UsageError,
)
from agent_bus_client.outbox.folder import TO_SENDER_OF
from agent_bus_client.record import Record
from agent_bus_mcp.words import text
from agent_bus_mcp.words.record import sent_words

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Optional

    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.hub.transport import HubClient
    from agent_bus_client.outbox.folder import Entry, Outbox

AWAY = {502, 503, 504, 507}  # the hub or its disk is away; 429, though, is an answer to the sender


class Delivery(Record):
    """What has become of a message.

    Attributes:
        sent: the hub's answer; None for a message in the outbox.
        facts: the same for programs.
    """

    sent: Optional[dict[str, Any]]
    words: str
    facts: dict[str, Any]


class Sender:
    """Sends for one program.

    Args:
        has_time: tells whether enough time is left for one more try.
        note: is told what else went wrong, before an error is raised.
        writers: as for `drain`.
    """

    def __init__(
        self,
        hub: HubClient | Hubs,
        outbox: Outbox,
        *,
        has_time: Callable[[], bool],
        note: Callable[[str], None],
        writers: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._hub = hub
        self._outbox = outbox
        self._has_time = has_time
        self._note = note
        self._writers = writers

    def deliver(self, request: dict[str, Any], key: str, *, spool: bool = True) -> Delivery:
        """Send the body of `POST /api/send` under an idempotency key, or keep it in the outbox.

        Raises:
            OutcomeUnknownError: the message may have arrived, and is not in the outbox.
            ClientError: it has not arrived, and is not in the outbox.
        """
        try:
            self._send_waiting(request["from"])
            sent = self._post(request, key)
        except (HubUnreachableError, HubRefusedError) as error:
            if isinstance(error, HubRefusedError) and error.status not in AWAY:
                raise
            if not spool:
                raise
            return self._spool(request, key, error)
        return Delivery(sent, sent_words(sent), sent)

    def _send_waiting(self, sender: str) -> None:
        """Send what this sender has in the outbox, to keep the order.

        Raises:
            OutboxWaitsError: some of it is still there.
        """
        if self._outbox.is_empty():
            return
        from agent_bus_client.outbox.draining import drain

        if drain(self._outbox, self._hub, sender=sender, writers=self._writers()).waiting:
            raise OutboxWaitsError(self._hub.url, sender)

    def _post(self, request: dict[str, Any], key: str) -> dict[str, Any]:
        """Send now.

        Raises:
            OutcomeUnknownError: the message may have arrived.
            ClientError: it has not arrived; see `HubClient.call`.
        """
        if TO_SENDER_OF in request:
            request = self._addressed(request)
        if request.get("to") == request["from"] and "reply_to" in request:
            raise UsageError(f"{request['reply_to']} is your own message: send TO instead")
        try:
            return self._post_once(request, key)
        except OutcomeUnknownError:
            if not self._has_time():
                raise
            # the first try may have arrived all the same
            try:
                return self._post_once(request, key)
            except HubUnreachableError:
                pass
            raise

    def _addressed(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Return a reply with its recipient.

        Raises:
            ClientError: see `HubClient.call`; nothing was sent in any case.
        """
        from agent_bus_client.outbox.draining import addressed

        try:
            return addressed(reply, self._hub)
        except HubUnreachableError as error:
            if not error.sent:
                raise
            raise HubUnreachableError(error.url, error.reason, sent=False) from error

    def _post_once(self, request: dict[str, Any], key: str) -> dict[str, Any]:
        """Post the message once.

        Raises:
            OutcomeUnknownError: the message may have arrived.
            ClientError: it has not arrived; see `HubClient.call`.
        """
        headers = {"Idempotency-Key": key}
        try:
            sent: dict[str, Any] = self._hub.call(
                "POST", "/api/send", body=request, headers=headers
            )
        except HubUnreachableError as error:
            if error.sent:
                raise OutcomeUnknownError(error.url, error.reason, key=key) from error
            raise
        except HubRefusedError as error:
            if error.is_ambiguous:
                raise OutcomeUnknownError(self._hub.url, str(error), key=key) from error
            raise
        return sent

    def _spool(self, request: dict[str, Any], key: str, why: ClientError) -> Delivery:
        is_unknown = isinstance(why, OutcomeUnknownError)
        try:
            self._outbox.add(key, request, maybe_sent=is_unknown)
        except OSError as error:
            self._note(f"the outbox cannot be written either: {error}")
            raise why from error
        except ClientError as error:
            if not is_unknown:
                raise
            self._note(f"the outbox does not take it either: {error}")
            raise why from error
        facts = {"spooled": True, "key": key, "reason": str(why)}
        if isinstance(why, OutcomeUnknownError):
            words = (
                f"not known whether it arrived: the hub did not say ({why.reason}). The watcher"
                " asks when the hub is back, under the key of this message, so that it arrives"
                " once: do not send it again."
            )
            return Delivery(None, words, {**facts, "outcome": "unknown"})
        words = (
            f"not sent yet: {why}. Kept in the outbox; the watcher sends it when the hub is back:"
            " do not send it again."
        )
        return Delivery(None, words, {**facts, "outcome": "not_sent"})


def new_key() -> str:
    """Return an idempotency key that nobody has used.

    It begins with the time (ms), so the newest ones lie side by side in the hub's database.
    """
    return f"{time.time_ns() // 1_000_000:x}{os.urandom(5).hex()}"


def failure_words(outbox: Outbox, entry: Entry) -> Optional[str]:
    """Mark a message that was given up as told, and return what its sender should know.

    What cannot be marked is told again, but must not be sent each time. None: another program
    was quicker.
    """
    again = ""
    try:
        outbox.told(entry)
    except FileNotFoundError:
        return None
    except OSError as error:
        import hashlib  # it loads OpenSSL, for 3 ms

        key = f"again-{hashlib.sha256(entry.name.encode()).hexdigest()[:16]}"
        again = (
            f" (you may have heard this before: it cannot be marked as told, {error.strerror};"
            f" if it still matters, send it with --key {key}, which sends once)"
        )
    body, _ = text.cut(str(entry.request.get("body", "")), 80)
    what = "a message that you sent while the hub was away was not delivered"
    if entry.maybe_sent:
        what = "it is not known whether a message that you sent has arrived"
    return (
        f"warning: {what}: to {entry.recipient}: {text.line(body)!r}:"
        f" {text.line(entry.reason)}{again}"
    )

"""What a caller must change or wait for: statuses below 500."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core.errors.base import BusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class InvalidRequestError(BusError):
    """A field, query parameter or header is missing, malformed or unknown."""

    code = "invalid_request"
    status = 400
    title = "The request is not well-formed"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail, field=field)


class SenderAmbiguousError(BusError):
    """`from` (or `agent`) was left out and the token speaks for several agents."""

    code = "sender_ambiguous"
    status = 400
    title = "The token speaks for several agents"

    def __init__(self, agents: Iterable[str], *, field: str) -> None:
        names = ", ".join(sorted(agents)) or "none"
        super().__init__(f"Set `{field}` to one of this token's agents: {names}.", field=field)


class InvalidCursorError(BusError):
    """A page cursor was not made by this server, or for another query."""

    code = "invalid_cursor"
    status = 400
    title = "The cursor cannot be used"

    def __init__(self) -> None:
        super().__init__("Start again without `cursor`.", field="cursor")


class UnauthenticatedError(BusError):
    """No bearer token, or one that the hub does not know."""

    code = "unauthenticated"
    status = 401
    title = "A valid token is needed"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class ForbiddenError(BusError):
    """The token is valid but not for this agent or call.

    Args:
        agents: the agents of a report that this token must not name; a member of the problem.
    """

    code = "forbidden"
    status = 403
    title = "The token does not allow this"

    def __init__(
        self, detail: str, *, field: str | None = None, agents: Iterable[str] = ()
    ) -> None:
        super().__init__(detail, field=field, extra={"agents": list(agents)} if agents else None)


class NotAllowedError(BusError):
    """The operator's rules do not let the sender write to a recipient.

    Args:
        sender: who wants to write.
        recipients: to whom it may not, of those that it named.
        rules: what the deciding rules are called, as in `rule 2 (interns)`.
        answered: those of the recipients that may write to the sender.
    """

    code = "not_allowed"
    status = 403
    title = "The sender may not write to this recipient"

    def __init__(
        self,
        sender: str,
        recipients: Sequence[str],
        rules: Sequence[str],
        *,
        answered: Sequence[str] = (),
    ) -> None:
        words = f"{sender} may not write to {_some(recipients)}: {_some(rules)} of message_rights."
        if answered:
            words += (
                f" {_some(answered)} may write to {sender}, but not the other way round; a reply "
                "needs the right, too."
            )
        super().__init__(
            f"{words} GET /api/agents?from={sender} lists whom {sender} may write to; operator is "
            "always allowed.",
            field="to",
            extra={"sender": sender, "recipients": list(recipients), "rules": list(rules)},
        )


class UnknownStormError(BusError):
    """Nothing of this name is damped or held: it may have been let go already."""

    code = "unknown_storm"
    status = 404
    title = "No such storm"

    def __init__(self, what: str, storms: Iterable[str]) -> None:
        known = "; ".join(sorted(storms)) or "nothing"
        super().__init__(f"{what!r} is not damped or held now; {known} is.", field="what")


class UnknownPathError(BusError):
    """No such path."""

    code = "not_found"
    status = 404
    title = "No such path"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} does not exist; GET /api/openapi.json lists what does.")


class UnknownAgentError(BusError):
    """A recipient, group or agent name is not in the roster."""

    code = "unknown_agent"
    status = 404
    title = "No such agent or group"

    def __init__(self, name: str, closest: list[str], *, field: str) -> None:
        hint = f" Did you mean {' or '.join(closest)}?" if closest else ""
        super().__init__(
            f"{name!r} is not in the roster.{hint} GET /api/agents lists all names.",
            field=field,
            extra={"name": name, "closest": closest},
        )


def _there_are(names: list[str], variable: str) -> str:
    """Which names there are; without any, where the inventory would have them."""
    if names:
        return f"There are: {', '.join(names)}."
    return f"There is none; `{variable}` in the inventory lists them."


class UnknownWebhookError(BusError):
    """A webhook's name is not in the hub's settings."""

    code = "unknown_webhook"
    status = 404
    title = "No such webhook"

    def __init__(self, name: str, names: list[str]) -> None:
        there_are = _there_are(names, "message_bus_webhooks")
        super().__init__(f"{name!r} is no webhook of this hub. {there_are}", field="webhook")


class UnknownChannelError(BusError):
    """A channel's name is not in the hub's settings."""

    code = "unknown_channel"
    status = 404
    title = "No such channel"

    def __init__(self, name: str, names: list[str]) -> None:
        there_are = _there_are(names, "operator_channels")
        super().__init__(f"{name!r} is no channel of this hub. {there_are}", field="channel")


class UnknownMessageError(BusError):
    """A message id is not known, or not this agent's to see."""

    code = "unknown_message"
    status = 404
    title = "No such message"

    def __init__(self, message_id: str, *, field: str = "id") -> None:
        super().__init__(
            f"No message {message_id!r} that this token's agents sent or received.", field=field
        )


class WrongMethodError(BusError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405
    title = "The method does not fit the path"

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        super().__init__(f"Use {' or '.join(self.allowed)}.")


class AgentRetiredError(BusError):
    """The recipient left the roster: it gets no new mail."""

    code = "agent_retired"
    status = 409
    title = "The agent is retired"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} is no longer in the inventory; write to another agent.",
            field="to",
            extra={"name": name},
        )


class IdempotencyConflictError(BusError):
    """The same Idempotency-Key came with another payload."""

    code = "idempotency_conflict"
    status = 409
    title = "The idempotency key was used for another message"

    def __init__(self, message_id: str) -> None:
        super().__init__(
            "Use a new Idempotency-Key for a new message.",
            field="Idempotency-Key",
            extra={"message_id": message_id},
        )


class RosterShrinksError(BusError):
    """A roster would retire suspiciously many agents at once."""

    code = "roster_shrinks"
    status = 409
    title = "The roster would retire many agents"

    def __init__(self, retired: list[str]) -> None:
        super().__init__(
            f"{len(retired)} agents would be retired: {', '.join(retired)}. If that is intended, "
            "send the same roster with `force`: true.",
            field="agents",
            extra={"retired": retired},
        )


class NoWatcherError(BusError):
    """No watcher is connected that could wake the agent."""

    code = "no_watcher"
    status = 409
    title = "No watcher is connected for the agent"

    def __init__(self, agent: str, node: str | None, *, is_guest: bool = False) -> None:
        if is_guest:
            words = f"{node} is a guest, which has no watcher: {agent} reads when it asks."
        else:
            reason = "lives on no node" if node is None else f"is on {node}, without a watcher now"
            words = f"{agent} {reason}; GET /api/agents shows who is connected."
        super().__init__(words, extra={"node": node})


class BackupRunningError(BusError):
    """A backup is being made already."""

    code = "backup_running"
    status = 409
    title = "A backup is being made"

    def __init__(self) -> None:
        super().__init__("Wait for the one that runs.", retry_after_s=10.0)


class TooLargeError(BusError):
    """The request body is over the limit."""

    code = "too_large"
    status = 413
    title = "The request is too large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            f"A request may have {limit_bytes} bytes. Put large content in a file or a "
            "repository and send its address.",
            extra={"limit_bytes": limit_bytes},
        )


class NoRecipientError(BusError):
    """After groups were resolved and the sender left out, nobody remains."""

    code = "no_recipient"
    status = 422
    title = "Nobody would receive this"

    def __init__(self) -> None:
        super().__init__(
            "Name at least one agent other than the sender, or a group with other members.",
            field="to",
        )


class RateLimitedError(BusError):
    """The sender is over its rate."""

    code = "rate_limited"
    status = 429
    title = "Too many messages"

    def __init__(self, sender: str, *, per_s: float, retry_after_s: float) -> None:
        super().__init__(
            f"{sender!r} may send {per_s:g} messages per second; wait {retry_after_s:.1f} s.",
            retry_after_s=retry_after_s,
        )


class ThreadBudgetError(BusError):
    """A thread has been answered back and forth too often without the operator."""

    code = "thread_budget_exhausted"
    status = 429
    title = "The thread has used up its replies"

    def __init__(self, thread_id: str, limit: int) -> None:
        super().__init__(
            f"The thread has {limit} replies in a row. Start a new thread or write to operator.",
            field="reply_to",
            extra={"thread_id": thread_id},
        )


class AuthThrottledError(BusError):
    """Too many wrong tokens from one address."""

    code = "auth_throttled"
    status = 429
    title = "Too many failed attempts"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            "Too many requests with a wrong token from this address. Check the token file; a "
            "valid token always passes.",
            retry_after_s=retry_after_s,
        )


def _some(words: Sequence[str], *, most: int = 5) -> str:
    """A few words in a sentence, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more

"""Every error that the watcher and the command line can end with, and the exit code of each.

Exit codes follow sysexits.h where it has a word for the case, so that scripts can tell "try later"
from "never".
"""

from __future__ import annotations

from agent_bus_client.api import Problem

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69
EXIT_TRY_LATER = 75
EXIT_DENIED = 77
EXIT_SETTINGS = 78

AMBIGUOUS = {500, 502, 504}  # after these the message may have been stored
LATER = {408, 429, 500, 502, 503, 504, 507}
NEVER = {Problem.THREAD_BUDGET_EXHAUSTED}  # a 429 that waiting does not end
LOOK_AT_NAMES = (
    "look at /etc/resolv.conf, or put an address in place of the name into the inventory"
    " (bus_address for the hub, openclaw_gateway_url for a gateway)"
)


class ClientError(Exception):
    """An expected failure; the message says what to do."""

    code = "failed"
    exit_code = EXIT_FAILED


class SettingsError(ClientError):
    """The settings file or a secret beside it cannot be used."""

    code = "settings_invalid"
    exit_code = EXIT_SETTINGS


class NoTokenError(SettingsError):
    """This user has no token for the bus, or for one agent; another user of this machine has one.

    `advice` says how to run the command instead.
    """

    code = "no_token"

    def __init__(self, user: str, owners: list[str], *, agent: str = "") -> None:
        who = owners[0] if owners else "<the user that runs OpenClaw>"
        self.found = f"{user} has no token for the bus"
        self.advice = (
            f"run it as a user that has one: sudo -u {who} agent-bus ...; "
            "as operator: agent-bus-admin on the hub, or the hub's page"
        )
        if agent:
            self.found = f"{agent} has a token of its own, which {user} may not read"
            self.advice = f"run it as {agent}'s user: sudo -u {who} agent-bus ..."
        super().__init__(f"{self.found}; {self.advice}")


class UsageError(ClientError):
    """The command line does not make sense."""

    code = "usage"
    exit_code = EXIT_USAGE


class HttpError(ClientError):
    """The other side does not speak HTTP as expected, or hung up in the middle of an answer."""

    code = "http_broken"
    exit_code = EXIT_UNAVAILABLE


class UntrustedError(HttpError):
    """The other side of a TLS connection is not who it should be; the message says what to do."""

    code = "untrusted"


class NotConnectedError(HttpError):
    """No connection was made, so nothing was sent; the message says why, address by address.

    `refused`: every address answered, and refused the connection.
    """

    code = "not_connected"

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class NoAddressError(NotConnectedError):
    """A host's name could not be turned into an address; the message says what to do."""

    code = "no_address"

    @classmethod
    def silent(cls, host: str, waited_s: float) -> NoAddressError:
        """Return the error for name servers that said nothing."""
        words = f"name servers did not answer within {waited_s:.1f} s for {host}"
        return cls(f"{words}; {LOOK_AT_NAMES}")

    @classmethod
    def unknown(cls, host: str) -> NoAddressError:
        """Return the error for a name that does not exist."""
        return cls(f"no name server knows {host}; is it spelled right? {LOOK_AT_NAMES}")

    @classmethod
    def failed(cls, host: str, why: str) -> NoAddressError:
        """Return the error for name servers that answered without an address."""
        return cls(f"name servers have no answer for {host} ({why}); {LOOK_AT_NAMES}")


class StreamError(ClientError):
    """The event stream cannot be parsed (one line or event past the limit)."""

    code = "stream_broken"
    exit_code = EXIT_UNAVAILABLE


class HubUnreachableError(ClientError):
    """No answer from the hub: refused, timed out, or gone in the middle.

    `sent` tells whether the request may have reached the hub.
    """

    code = "hub_unreachable"
    exit_code = EXIT_UNAVAILABLE

    def __init__(self, url: str, reason: str, *, sent: bool) -> None:
        super().__init__(f"the hub at {url} does not answer: {reason}")
        self.url = url
        self.reason = reason
        self.sent = sent


class NoHubError(HubUnreachableError):
    """None of several hubs was reached, so nothing was sent; the message has a reason for each."""

    def __init__(self, failures: list[HubUnreachableError]) -> None:
        super().__init__(
            ", ".join(failure.url for failure in failures),
            "; ".join(f"{failure.url}: {failure.reason}" for failure in failures),
            sent=False,
        )
        self.args = (f"no hub answers: {self.reason}",)


class OutboxWaitsError(HubUnreachableError):
    """Nothing was sent, because what the sender has in the outbox goes first."""

    code = "outbox_waits"

    def __init__(self, url: str, sender: str) -> None:
        super().__init__(url, "the outbox waits", sent=False)
        self.args = (f"earlier messages of {sender} wait in the outbox and go first",)


class OutcomeUnknownError(HubUnreachableError):
    """A message may have reached the hub, which has not said so.

    Attributes:
        key: the idempotency key under which it can be sent again without coming twice.
    """

    code = "outcome_unknown"

    def __init__(self, url: str, reason: str, *, key: str) -> None:
        super().__init__(url, reason, sent=True)
        self.key = key
        again = f"sent again with --key {key} it arrives once"
        said = f"the hub at {url} did not say: {reason}"
        self.args = (f"it is not known whether the message arrived, {said}; {again}",)


class HubUntrustedError(HubUnreachableError):
    """Nothing was sent, because it would not have gone to the hub or not in secret."""

    code = "hub_untrusted"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason, sent=False)
        self.args = (f"the hub at {url} cannot be trusted: {reason}",)


class HubRefusedError(ClientError):
    """The hub answered with a problem (RFC 9457).

    Attributes:
        status: HTTP status.
        problem: the stable `code` of the problem, `http_<status>` when there was none.
        fields: the whole problem object.
        retry_after_s: what the hub asked for, None when it did not.
    """

    def __init__(
        self, status: int, fields: dict[str, object], *, retry_after_s: float | None
    ) -> None:
        self.status = status
        self.fields = fields
        self.problem = str(fields.get("code") or f"http_{status}")
        self.retry_after_s = retry_after_s
        detail = fields.get("detail") or fields.get("title") or f"HTTP status {status}"
        super().__init__(f"{detail} ({self.problem})")

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # depends on the status
        """77 for a token that is not accepted, 75 for "later", 1 for everything else."""
        if self.status in {401, 403}:
            return EXIT_DENIED
        if self.later:
            return EXIT_TRY_LATER
        return EXIT_FAILED

    @property
    def is_ambiguous(self) -> bool:
        """The request may have been carried out all the same."""
        return self.status in AMBIGUOUS or self.problem == Problem.COMMIT_UNKNOWN

    @property
    def later(self) -> bool:
        """The same request can succeed later: throttled, full, failing, restarting."""
        return self.status in LATER and self.problem not in NEVER

"""Every error that a caller of the bus can get, one class each.

A class has what RFC 9457 asks for: a stable `code`, an HTTP `status` and a `title`. It is made
from the facts, and words the `detail`, which always says what to do. `http/problem.py` makes them
`application/problem+json`; nothing else of HTTP is known here.
"""

from agent_bus.core.errors.answers import (
    AlreadyAnsweredError,
    QuestionExpiredError,
    UnknownChoiceError,
)
from agent_bus.core.errors.base import BusError
from agent_bus.core.errors.failed import (
    BackupFailedError,
    CommitUnknownError,
    DiskFullError,
    InternalError,
    NoPrimaryError,
    NotReadyError,
    StartupError,
    TlsRequiredError,
    TooManyStreamsError,
)
from agent_bus.core.errors.refused import (
    AgentRetiredError,
    AuthThrottledError,
    BackupRunningError,
    ForbiddenError,
    IdempotencyConflictError,
    InvalidCursorError,
    InvalidRequestError,
    NoRecipientError,
    NotAllowedError,
    NoWatcherError,
    RateLimitedError,
    RosterShrinksError,
    SenderAmbiguousError,
    ThreadBudgetError,
    TooLargeError,
    UnauthenticatedError,
    UnknownAgentError,
    UnknownChannelError,
    UnknownMessageError,
    UnknownPathError,
    UnknownStormError,
    UnknownWebhookError,
    WrongMethodError,
)

__all__ = [
    "AgentRetiredError",
    "AlreadyAnsweredError",
    "AuthThrottledError",
    "BackupFailedError",
    "BackupRunningError",
    "BusError",
    "CommitUnknownError",
    "DiskFullError",
    "ForbiddenError",
    "IdempotencyConflictError",
    "InternalError",
    "InvalidCursorError",
    "InvalidRequestError",
    "NoPrimaryError",
    "NoRecipientError",
    "NoWatcherError",
    "NotAllowedError",
    "NotReadyError",
    "QuestionExpiredError",
    "RateLimitedError",
    "RosterShrinksError",
    "SenderAmbiguousError",
    "StartupError",
    "ThreadBudgetError",
    "TlsRequiredError",
    "TooLargeError",
    "TooManyStreamsError",
    "UnauthenticatedError",
    "UnknownAgentError",
    "UnknownChannelError",
    "UnknownChoiceError",
    "UnknownMessageError",
    "UnknownPathError",
    "UnknownStormError",
    "UnknownWebhookError",
    "WrongMethodError",
]

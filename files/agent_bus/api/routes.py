"""Which path leads to which endpoint; the server and the OpenAPI document are made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.api.agents import ROSTER_CHANGES, has_changed_roster
from agent_bus.api.hubs import routes as hub_routes
from agent_bus.api.models import fleet, requests, responses
from agent_bus.api.models.events import EVENTS
from agent_bus.core import errors
from agent_bus.http.endpoint import bare, with_body, with_both, with_query
from agent_bus.http.route import Action, Header, Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent_bus.api.agents import Agents
    from agent_bus.api.health import Health
    from agent_bus.api.hubs import Hubs
    from agent_bus.api.messages import Messages
    from agent_bus.api.operator import Operator
    from agent_bus.api.reports import Reports
    from agent_bus.api.stream import Streams
    from agent_bus.http.call import Answer, Call
    from agent_bus.http.route import Problems

ACTS_FOR: Final[Problems] = (
    errors.SenderAmbiguousError,
    errors.ForbiddenError,
    errors.UnknownAgentError,
)
"""What can be wrong with the agent that a call acts for."""
WRITES: Final[Problems] = (
    errors.CommitUnknownError,
    errors.NoPrimaryError,
    errors.DiskFullError,
)
ANSWERS: Final[Problems] = (
    errors.AlreadyAnsweredError,
    errors.QuestionExpiredError,
    errors.UnknownChoiceError,
)
"""What can be wrong with the answer to a question."""
ADMIN: Final[Problems] = (errors.ForbiddenError,)
ROSTER_BYTES: Final = 2 * 1024 * 1024
"""A roster's body: the largest fleet that is taken, 1,000 nodes amid a rotation of their tokens
and 5,000 agents, has 0.5 MB with short names and no groups. No setting: only the admin token may
send so much, and a growing fleet should meet no limit that is made for messages."""


SEND_HEADERS: Final = (
    Header("Idempotency-Key", "1 to 255 printable characters; the same message is stored once."),
)
STREAM_HEADERS: Final = (Header("Last-Event-ID", "The id of the last event that was dealt with."),)
SEND: Final = Action("send", hides=frozenset({"body", "data"}), keeps=("id",))
"""Messages are kept where messages are kept."""
ACK: Final = Action("ack")
WAKE: Final = Action("wake")
MUTE: Final = Action("mute")
ROSTER: Final = Action(
    "roster",
    keeps_body=False,  # it holds everything there is, and digests
    keeps=ROSTER_CHANGES,
    has_effect=has_changed_roster,
)


def routes(
    *,
    messages: Messages,
    agents: Agents,
    reports: Reports,
    operator: Operator,
    streams: Streams,
    health: Health,
    hubs: Hubs,
    document: Callable[[Call], Answer],
    metrics: Callable[[Call], Answer],
) -> list[Route]:
    """All routes; `document` answers the OpenAPI document."""
    return [
        *_messages(messages),
        *_past(messages),
        *_agents(agents),
        *hub_routes(hubs),
        *_reports(reports),
        *_operator(operator),
        *_upkeep(operator),
        Route(
            "GET",
            "/stream",
            with_query(requests.StreamQuery, streams.open),
            "Subscribe to events",
            "Server-sent events for all agents of the token, from the stored backlog to "
            "live without a gap. Resume with `Last-Event-ID`; without a cursor the unread "
            "messages come first.",
            events=EVENTS,
            media_type="text/event-stream",
            problems=(errors.ForbiddenError, errors.UnknownAgentError, errors.TooManyStreamsError),
            headers=STREAM_HEADERS,
        ),
        Route(
            "GET",
            "/stats",
            bare(health.stats),
            "Figures of the hub",
            "Totals since the start, depth, latency quantiles per hop, alerts, streams, database.",
            answer=responses.StatsAnswer,
            unprefixed=True,
        ),
        *_watching(health, document, metrics),
    ]


def _watching(
    health: Health, document: Callable[[Call], Answer], metrics: Callable[[Call], Answer]
) -> list[Route]:
    return [
        Route(
            "GET",
            "/openapi.json",
            bare(document),
            "This document",
            access="open",
        ),
        Route(
            "GET",
            "/metrics",
            bare(metrics),
            "Figures for Prometheus",
            "For the admin token, or one of `metrics_tokens_file`.",
            problems=(errors.ForbiddenError,),
            access="scrape",
            media_type="text/plain",
            at_root=True,
        ),
        Route(
            "GET",
            "/livez",
            bare(health.livez),
            "Whether the process serves requests",
            "`written_s_ago` and `writing_for_s` are for the other hubs on the same database; "
            "`null` with one hub on SQLite.",
            answer=responses.LiveAnswer,
            access="open",
            at_root=True,
        ),
        Route(
            "GET",
            "/readyz",
            bare(health.readyz),
            "Whether the hub can take messages",
            "503 with the same body when it cannot; `checks` says which part and why.",
            answer=responses.ReadyAnswer,
            other_statuses=(503,),
            access="open",
            at_root=True,
        ),
    ]


def _messages(messages: Messages) -> list[Route]:
    return [
        Route(
            "POST",
            "/send",
            with_body(requests.SendBody, messages.send, begin=messages.begin_send),
            "Send a message",
            "Answers after the message is synced to the disk. With the header "
            "`Idempotency-Key` a repeated request within 24 h answers the first result.",
            answer=responses.SendAnswer,
            status=201,
            problems=(
                *ACTS_FOR,
                *WRITES,
                errors.UnknownMessageError,
                errors.AgentRetiredError,
                errors.IdempotencyConflictError,
                errors.NoRecipientError,
                errors.NotAllowedError,
                errors.RateLimitedError,
                errors.ThreadBudgetError,
                *ANSWERS,
            ),
            headers=SEND_HEADERS,
            action=SEND,
            is_plain=True,
            unprefixed=True,
        ),
        Route(
            "GET",
            "/inbox",
            with_query(requests.InboxQuery, messages.inbox),
            "Read an inbox",
            "Urgent first, oldest first within a priority. A page asked for by its own agent "
            "counts as fetched unless `peek=1`.",
            answer=responses.InboxAnswer,
            problems=(
                *ACTS_FOR,
                errors.InvalidCursorError,
                errors.TooManyStreamsError,
                errors.CommitUnknownError,
                errors.NoPrimaryError,
            ),
            unprefixed=True,
        ),
        Route(
            "POST",
            "/ack",
            with_body(requests.AckBody, messages.ack),
            "Mark messages as read",
            "By `ids`, or all that was shown to the agent up to one message. Repeating is "
            "harmless.",
            answer=responses.AckAnswer,
            problems=(*ACTS_FOR, *WRITES, errors.UnknownMessageError),
            action=ACK,
            unprefixed=True,
        ),
    ]


def _past(messages: Messages) -> list[Route]:
    return [
        Route(
            "GET",
            "/history",
            with_query(requests.HistoryQuery, messages.history),
            "Read the past",
            "What an agent sent and received, by seq; the admin token without `agent` sees all.",
            answer=responses.HistoryAnswer,
            problems=(*ACTS_FOR, errors.InvalidCursorError),
            unprefixed=True,
        ),
        Route(
            "GET",
            "/messages/<message_id>",
            bare(messages.message),
            "One message with its timeline",
            "The sender sees every delivery, a recipient its own.",
            answer=responses.FullMessage,
            problems=(errors.UnknownMessageError,),
        ),
    ]


def _agents(agents: Agents) -> list[Route]:
    return [
        Route(
            "GET",
            "/agents",
            with_query(requests.AgentsQuery, agents.read),
            "Who is there and who can be reached",
            "An agent that may not write to all sees those that it may write to, and itself; of "
            "nodes it sees all, but of their agents only those.",
            answer=fleet.AgentsAnswer,
            problems=(errors.ForbiddenError, errors.UnknownAgentError),
            unprefixed=True,
        ),
        Route(
            "PUT",
            "/agents",
            with_both(
                requests.RosterQuery,
                requests.RosterBody,
                agents.replace,
                admin_body_bytes=ROSTER_BYTES,
            ),
            "Replace the roster",
            "The whole inventory at once: new agents are registered, missing ones retired. The "
            f"body may have {ROSTER_BYTES} bytes, whatever `body_limit_bytes` says.",
            answer=fleet.RosterAnswer,
            problems=(*ADMIN, *WRITES, errors.RosterShrinksError),
            access="admin",
            action=ROSTER,
        ),
    ]


def _reports(reports: Reports) -> list[Route]:
    return [
        Route(
            "POST",
            "/presence",
            with_body(requests.PresenceBody, reports.presence),
            "A watcher's sign of life",
            "Every 30 s; renews the node's lease. Not for the admin token. A report that names "
            "an agent of another node is refused whole; the problem's `agents` says whom to leave "
            "out.",
            status=204,
            problems=(errors.ForbiddenError,),
        ),
        Route(
            "POST",
            "/wakes",
            with_body(requests.WakesBody, reports.wakes),
            "A watcher's reports of what became of wakes",
            "A report holds for the agent's deliveries up to `up_to_seq`; reports for agents of "
            "other nodes are passed over.",
            status=204,
        ),
    ]


def _operator(operator: Operator) -> list[Route]:
    return [
        Route(
            "POST",
            "/probes",
            with_body(requests.ProbeBody, operator.probe, is_optional=True),
            "Ask the watchers whether agents could be woken",
            "Wakes nobody, stores nothing; answers after all reports or 5 s.",
            answer=responses.ProbesAnswer,
            problems=(*ADMIN, errors.UnknownAgentError),
            access="admin",
            action=Action("probe"),
        ),
        Route(
            "POST",
            "/agents/<name>/wake",
            bare(operator.wake),
            "Wake an agent again",
            "A `wake` event to the node's watcher, which wakes the agent for unfetched mail.",
            answer=responses.WakeAnswer,
            problems=(*ADMIN, errors.UnknownAgentError, errors.NoWatcherError),
            access="admin",
            action=WAKE,
        ),
        Route(
            "POST",
            "/agents/<name>/mute",
            with_body(requests.MuteBody, operator.mute),
            "Leave an agent alone for a while",
            "Mail and its events go on; `mailbox` events and the list of agents carry "
            "`muted_until`, and the watcher does not wake the agent. An agent that is "
            "paused cannot be muted: the mute would end its pause.",
            answer=responses.MuteAnswer,
            problems=(*ADMIN, errors.UnknownAgentError),
            access="admin",
            action=MUTE,
        ),
    ]


def _upkeep(operator: Operator) -> list[Route]:
    return [
        Route(
            "POST",
            "/admin/backup",
            bare(operator.backup),
            "Make a backup",
            "Copied, checked and synced while the hub goes on; the newest `backup_keep` stay.",
            answer=responses.BackupAnswer,
            problems=(
                *ADMIN,
                errors.BackupRunningError,
                errors.BackupFailedError,
                errors.DiskFullError,
            ),
            access="admin",
            action=Action("backup", keeps=("path",)),
        ),
        Route(
            "POST",
            "/admin/login-link",
            bare(operator.login_link),
            "Make a link that signs a browser in once",
            "For the dashboard; it is good for five minutes.",
            answer=responses.LoginLinkAnswer,
            status=201,
            problems=ADMIN,
            access="admin",
            action=Action("login_link"),
        ),
        Route(
            "POST",
            "/admin/archive",
            bare(operator.archive),
            "Run retention now",
            answer=responses.ArchiveAnswer,
            problems=(*ADMIN, *WRITES),
            access="admin",
            action=Action("archive", keeps=("touched",)),
        ),
    ]

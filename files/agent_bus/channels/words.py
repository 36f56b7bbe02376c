"""What a notification says; pure.

Subjects and bodies are whatever an agent wrote. A notification is plain text, but services look
into plain text, too: they turn names into mentions and markup into links. So what could be taken
for either is written in another way, and no line break of a sender's makes a line of ours.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.core.model import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.model import Message
    from agent_bus.store.outgoing import Waiting

TITLE_CHARS: Final = 120
SUBJECT_CHARS: Final = 100
BODY_CHARS: Final = 600
"""Of a message that is told alone: what a phone shows without scrolling."""
LISTED_CHARS: Final = 100
"""Of a body in a list."""
LISTED: Final = 10
"""Messages that a list names at most."""
LIST_BYTES: Final = 3_500
"""Of a list; ntfy and Telegram take 4,096 bytes."""
MORE: Final = "…"

_MENTION: Final = re.compile(r"(?<!\w)@(?=\w)")
_SWAPPED: Final = str.maketrans({"<": "\u2039", ">": "\u203a", "`": "'"})


@dataclass(frozen=True, slots=True)
class Notification:
    """A title of one line, and plain text."""

    title: str
    text: str


def plain(text: str, chars: int) -> str:
    """Some text on one line, shortened, without what a service could take for markup."""
    shown = "".join(char if _is_shown(char) else " " for char in text[: 4 * chars])
    line = " ".join(shown.split())
    line = _MENTION.sub("@\u2060", line.translate(_SWAPPED)).replace("](", "] (")
    return line if len(line) <= chars else line[: chars - 1].rstrip() + MORE


def notification(
    events: Sequence[Waiting], *, with_body: bool, link: Callable[[Message], str | None]
) -> Notification:
    """What is told of some deliveries: in full of one, a list of several, urgent ones first."""
    if len(events) == 1:
        return _of_one(events[0], with_body=with_body, link=link)
    ordered = sorted(events, key=lambda one: (one.delivery.message.rank, one.delivery.seq))
    urgent = sum(PRIORITIES[one.delivery.message.rank] == "urgent" for one in events)
    title = f"{len(events)} messages for you" + (f", {urgent} urgent" if urgent else "")
    lines: list[str] = []
    named = 0
    for one in ordered[:LISTED]:
        lines += _in_list(one, with_body=with_body, link=link)
        named += 1
        if len("\n".join(lines).encode()) > LIST_BYTES:
            break
    if len(ordered) > named:
        lines.append(f"- and {len(ordered) - named} more")
    return Notification(title, "\n".join(lines))


def _in_list(
    event: Waiting, *, with_body: bool, link: Callable[[Message], str | None]
) -> list[str]:
    m = event.delivery.message
    lines = [f"- {_head(event)}"]
    if with_body and m.body:
        lines.append(f"  {plain(m.body, LISTED_CHARS)}")
    found = link(m)
    return lines if found is None else [*lines, f"  {found}"]


def _of_one(
    event: Waiting, *, with_body: bool, link: Callable[[Message], str | None]
) -> Notification:
    m = event.delivery.message
    lines = []
    if with_body and m.body:
        lines.append(plain(m.body, BODY_CHARS))
    found = link(m)
    if found is not None:
        lines.append(found)
    return Notification(plain(_head(event), TITLE_CHARS), "\n".join(lines) or m.id)


def _head(event: Waiting) -> str:
    """Who wrote, how urgent, and about what."""
    m = event.delivery.message
    priority = PRIORITIES[m.rank]
    mark = "" if priority == "normal" else f"[{priority}] "
    said = plain(m.subject or "", SUBJECT_CHARS)
    return f"{mark}{m.sender}: {said}" if said else f"{mark}Message from {m.sender}"


def _is_shown(char: str) -> bool:
    """Whether a character is neither a control, nor one that turns the direction of a line."""
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}

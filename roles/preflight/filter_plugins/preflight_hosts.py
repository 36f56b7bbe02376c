"""Check the hosts: give each one a script that any login shell passes on, and read its answer.

An answer counts only with its closing mark. A login shell may refuse the script, print words of
its own, or report success without running anything.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARK = "agent-bus-check: "
WORD_LENGTH = 256
"""A multiple of four, so that no word begins with `=`, which zsh would expand."""


def for_any_shell(script: str) -> str:
    """Return a command line that runs the script by /bin/sh, whatever shell is given the line.

    Shells differ in how they treat quotes, backslashes, line ends, `!`, `$` and `=`. Of these the
    line has only a pair of single quotes with a `$` between them, which every shell passes on.
    """
    padded = script + "\n" * (-len(script.encode()) % 3)  # no `=` at the end
    text = base64.b64encode(padded.encode()).decode()
    words = [text[at : at + WORD_LENGTH] for at in range(0, len(text), WORD_LENGTH)]
    return f"/bin/sh -c 'printf %s \"$@\" | base64 -d | /bin/sh' sh {' '.join(words)}"


def host_errors(answer: Mapping[str, Any], host: str, user: str = "") -> list[str]:
    """Return what is wrong with a host, or why that could not be found out.

    Args:
        answer: what Ansible's raw returned.
        host: its name in the inventory.
        user: whom Ansible logs in as; empty if the inventory does not say.
    """
    lines = _lines(answer)
    if "done" in lines:
        return [
            f"{host}: {line.removeprefix('wrong: ')}" for line in lines if line.startswith("wrong")
        ]
    printed = [str(answer.get(key) or "").strip() for key in ("stdout", "stderr", "msg")]
    words = (
        " / ".join(line for text in printed for line in text.splitlines()[-5:]).rstrip(".")
        or "nothing"
    )
    who = f"of {user}" if user else "that Ansible logs in by"
    code = answer.get("rc", "unknown")
    says = (
        f"{host}: the check did not run there (exit code {code}). The answer was: {words}. If the "
        f"login shell {who} runs no commands (getent passwd shows it), set ansible_user to "
        "somebody whose shell does, or change it (chsh -s /bin/sh). If a password is missing, "
        "give -K."
    )
    return [says]


def machine_of(answer: Mapping[str, Any]) -> str:
    """Return what tells the host's machine from all others; empty if it did not say.

    It is the machine's boot, the mount namespace of its first process and its name: containers
    of one kernel share the boot, clones of one image the machine-id and the host keys.
    """
    return _said(answer, "machine: ")


def release_errors(answers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return why these hubs cannot share a PostgreSQL, whose major is their distribution's.

    Args:
        answers: what Ansible's raw returned of each hub; one that did not answer is passed over.
    """
    hubs_of: dict[str, list[str]] = {}
    for hub, answer in answers.items():
        if release := _said(answer, "release: "):
            hubs_of.setdefault(release, []).append(hub)
    if len(hubs_of) <= 1:
        return []
    who = "; ".join(f"{release} ({', '.join(hubs)})" for release, hubs in sorted(hubs_of.items()))
    says = (
        f"The hubs have different distributions: {who}. Each has another major of PostgreSQL, and "
        "no copy of a database leads from one to the other; give all hubs the same distribution"
    )
    return [says]


def _said(answer: Mapping[str, Any], key: str) -> str:
    found = (line for line in _lines(answer) if line.startswith(key))
    return next(found, "").removeprefix(key)


def _lines(answer: Mapping[str, Any]) -> list[str]:
    text = str(answer.get("stdout") or "").replace("\r", "\n")
    return [
        line.strip().removeprefix(MARK)
        for line in text.splitlines()
        if line.strip().startswith(MARK)
    ]


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "for_any_shell": for_any_shell,
            "host_errors": host_errors,
            "machine_of": machine_of,
            "release_errors": release_errors,
        }

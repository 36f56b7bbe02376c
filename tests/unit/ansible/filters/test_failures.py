"""The words in which a failed task is told."""

from __future__ import annotations

from typing import Any

import pytest

from filter_plugins.failures import why_failed, why_silent

LONG = "\n".join(map(str, range(40)))


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({}, "it failed"),
        ({"msg": "no room"}, "no room"),
        (
            {"msg": "non-zero return code", "rc": 1, "cmd": ["a", "b"], "stderr": "because\n"},
            "non-zero return code\na b\nbecause",
        ),
        ({"msg": "bad", "rc": 1, "cmd": "a b", "stderr": "", "stdout": "out"}, "bad\na b\nout"),
        ({"msg": "bad", "rc": 0, "stdout": "out"}, "bad"),
        ({"msg": "bad", "rc": 2, "stderr": LONG}, "bad\n" + LONG[-44:]),
        (
            {"msg": "MODULE FAILURE", "module_stderr": "/bin/sh: python3: not found"},
            "MODULE FAILURE\n/bin/sh: python3: not found",
        ),
        (
            {"msg": "some failed", "results": [{"failed": True, "msg": "this one"}, {"msg": "x"}]},
            "some failed\nthis one",
        ),
    ],
)
def test_a_failure_is_told_with_the_last_words_of_what_ran(
    result: dict[str, Any], told: str
) -> None:
    assert why_failed(result) == told


def test_a_failure_that_ansible_hides_is_told_with_what_to_look_at() -> None:
    assert "df /etc/agent-bus" in why_failed({"censored": "hidden due to no_log"})


HUB = {"name": "box", "listens": "192.0.2.20:8091", "tls": "off"}


@pytest.mark.parametrize(
    ("looked", "told"),
    [
        ({"msg": "no sudo"}, "It could not be looked at, either: no sudo"),
        (
            {"stdout": '{"installed": false}'},
            "It was never rolled out; begin with it: --limit box",
        ),
        (
            {"stdout": '{"installed": true, "bind": "[::]:8091", "tls": true}'},
            (
                "It was rolled out to listen on [::]:8091 with TLS, and the inventory now says "
                "192.0.2.20:8091 without TLS: roll the hub out first, --limit box"
            ),
        ),
        (
            {
                "stdout": '{"installed": true, "bind": "192.0.2.20:8091", "tls": false, '
                '"state": "failed", "words": "no space left"}'
            },
            "agent-bus.service is failed there. Its last words: no space left",
        ),
    ],
)
def test_a_silent_hub_is_told_as_what_it_is(looked: dict[str, Any], told: str) -> None:
    assert why_silent(looked, HUB) == told

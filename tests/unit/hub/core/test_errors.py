"""All errors: unique, documented, and whole as problem documents."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest

from agent_bus.core import errors
from agent_bus.http import problem


def subclasses(of: type[errors.BusError]) -> set[type[errors.BusError]]:
    direct = set(of.__subclasses__())
    return direct.union(*map(subclasses, direct))


ALL = sorted(subclasses(errors.BusError), key=lambda kind: kind.__name__)


def sample(kind: type[errors.BusError]) -> errors.BusError:
    """An error with something for each thing that its constructor wants."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            continue
        hint = str(parameter.annotation)
        value: Any = ["one", "two"] if "Iterable" in hint or "list" in hint else "Text."
        value = 5 if hint == "int" else 1.5 if hint.startswith("float") else value
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            named[name] = value
        else:
            positional.append(value)
    return kind(*positional, **named)


def test_codes_and_titles_are_unique() -> None:
    assert len(ALL) >= 20
    assert len({kind.code for kind in ALL}) == len(ALL)
    assert len({kind.title for kind in ALL}) == len(ALL)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_says_what_it_is_and_what_to_do(kind: type[errors.BusError]) -> None:
    assert re.fullmatch("[a-z][a-z_]+", kind.code)
    assert 400 <= kind.status <= 599
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    assert (kind.__doc__ or "").strip().endswith(".")
    assert kind.__name__.endswith("Error")
    one = sample(kind)
    assert one.detail.endswith((".", "?"))
    assert str(one) == one.detail


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_a_problem_document(kind: type[errors.BusError]) -> None:
    one = sample(kind)
    answer = problem.answer(one)
    content: Any = json.loads(json.dumps(answer.content))
    assert answer.status == content["status"] == kind.status
    assert content["code"] == kind.code
    assert content["type"] == f"urn:agent-bus:problem:{kind.code}"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("Retry-After" in answer.headers) == (one.retry_after_s is not None)
    assert ("WWW-Authenticate" in answer.headers) == (kind.status == 401)
    assert ("Allow" in answer.headers) == (kind.status == 405)
    assert set(one.extra) <= set(content)


@pytest.mark.parametrize("kind", [k for k in ALL if k.status in {429, 503, 507}])
def test_what_may_pass_later_says_when(kind: type[errors.BusError]) -> None:
    if kind is not errors.ThreadBudgetError:  # waiting does not help there
        assert (sample(kind).retry_after_s or 0) > 0


def test_retry_after_is_whole_seconds_and_never_none() -> None:
    for wait_s, told in ((0.01, "1"), (1.0, "1"), (1.2, "2")):
        error = errors.AuthThrottledError(wait_s)
        assert problem.answer(error).headers["Retry-After"] == told


def test_who_names_what_there_is_none_of_learns_where_the_inventory_has_it() -> None:
    channel = errors.UnknownChannelError("fone", [])
    assert "`operator_channels` in the inventory" in channel.detail
    webhook = errors.UnknownWebhookError("opps", [])
    assert "`message_bus_webhooks` in the inventory" in webhook.detail
    assert errors.UnknownChannelError("fone", ["phone"]).detail.endswith("There are: phone.")

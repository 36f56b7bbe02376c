"""What is read of a request: nothing, parameters, JSON, a form."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict

from agent_bus.core import errors
from agent_bus.http.call import Answer, AnyCall
from agent_bus.http.endpoint import bare, with_body, with_form, with_query


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    much: int = 1


def answer(_call: AnyCall) -> Answer:
    return Answer(204)


def test_a_bare_endpoint_takes_no_parameters_and_ignores_a_body() -> None:
    endpoint = bare(answer)
    assert (endpoint.parse_query({}), endpoint.parse_body(b"{not json")) == (None, None)
    with pytest.raises(errors.InvalidRequestError, match="x: this call takes no parameters"):
        endpoint.parse_query({"x": "1"})


def test_parameters_are_text_and_read_as_their_type() -> None:
    endpoint = with_query(Asked, answer)
    assert endpoint.parse_query({"much": "3"}) == Asked(much=3)
    with pytest.raises(errors.InvalidRequestError, match="more: there is no such"):
        endpoint.parse_query({"more": "1"})


def test_a_body_may_be_optional() -> None:
    assert with_body(Asked, answer, is_optional=True).parse_body(b"") == Asked()
    with pytest.raises(errors.InvalidRequestError, match="body: Invalid JSON"):
        with_body(Asked, answer).parse_body(b"")


def test_a_form_is_read_by_its_names_whatever_its_bytes() -> None:
    endpoint = with_form(Asked, answer)
    assert endpoint.parse_body(b"much=4") == Asked(much=4)
    with pytest.raises(errors.InvalidRequestError):
        endpoint.parse_body(b"\xff=4")

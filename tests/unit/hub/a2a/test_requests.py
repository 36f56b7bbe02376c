from __future__ import annotations

from typing import Any

import pytest

from agent_bus.a2a.faults import A2AError
from agent_bus.a2a.requests import GetParams, ListParams, SendParams, read

MESSAGE: dict[str, Any] = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}


def test_fields_come_in_camel_case_or_as_protobuf_names_them() -> None:
    older = {"message_id": "m", "role": "user", "parts": [{"text": "x"}], "context_id": None}
    assert read(SendParams, {"message": MESSAGE}).message.message_id == "m"
    assert read(SendParams, {"message": older}).message.message_id == "m"


def test_what_is_not_known_is_passed_over_but_not_among_the_buss_own_options() -> None:
    metadata = {"theirs": {"k": 1}, "agent-bus": {"subject": "s"}}
    found = read(SendParams, {"message": {**MESSAGE, "metadata": metadata, "new": 1}, "more": 2})
    assert found.message.metadata is not None
    assert found.message.metadata.own is not None
    assert found.message.metadata.own.subject == "s"
    with pytest.raises(A2AError, match="subjet"):
        read(SendParams, {"message": {**MESSAGE, "metadata": {"agent-bus": {"subjet": "s"}}}})


def test_a_query_has_texts() -> None:
    asked = {
        "pageSize": "20",
        "includeArtifacts": "true",
        "statusTimestampAfter": "2026-11-28T00:00:00Z",
    }
    found = read(ListParams, asked)
    assert (found.page_size, found.include_artifacts) == (20, True)
    assert found.status_timestamp_after is not None


@pytest.mark.parametrize("params", [None, [], 7, "x", {"id": 7}, {"id": None}, {"id": "a\nb"}])
def test_what_does_not_fit_names_the_field(params: object) -> None:
    with pytest.raises(A2AError) as refused:
        read(GetParams, params)
    assert refused.value.kind.code == -32602
    assert refused.value.field


def test_words_can_be_encoded_whatever_the_field_is_called() -> None:
    with pytest.raises(A2AError) as refused:
        read(SendParams, {"message": {**MESSAGE, "metadata": {"agent-bus": {"\ud800": 1}}}})
    refused.value.words.encode()


@pytest.mark.parametrize("at", ["yesterday", "2026-11-28", "2026-11-28T00:00:00", "7", 7])
def test_a_time_says_its_zone(at: object) -> None:
    with pytest.raises(A2AError, match="statusTimestampAfter"):
        read(ListParams, {"statusTimestampAfter": at})

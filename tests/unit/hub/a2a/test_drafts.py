from __future__ import annotations

import pytest

from agent_bus.a2a.drafts import DATA_ONLY, content
from agent_bus.a2a.faults import A2AError
from agent_bus.a2a.requests import Part


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([Part(text="a")], ("a", None)),
        ([Part(text="a"), Part(text="b")], ("a\n\nb", None)),
        ([Part(data={"k": 1})], (DATA_ONLY, {"k": 1})),
        ([Part(text="a"), Part(data=[1])], ("a", {"parts": [[1]]})),
        ([Part(data={"k": 1}), Part(data=0)], (DATA_ONLY, {"parts": [{"k": 1}, 0]})),
        ([Part(kind="data", data={"k": 1}), Part(kind="text", text="a")], ("a", {"k": 1})),
    ],
)
def test_texts_are_the_body_and_data_the_data(parts: list[Part], expected: object) -> None:
    assert content(parts) == expected


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (Part(raw="eA=="), -32005),
        (Part(url="https://example.com/x"), -32005),
        (Part(kind="file", file={"uri": "x"}), -32005),
        (Part(kind="file"), -32005),
        (Part(), -32602),
    ],
)
def test_files_and_nothing_are_refused(part: Part, code: int) -> None:
    with pytest.raises(A2AError) as refused:
        content([Part(text="a"), part])
    assert refused.value.kind.code == code
    assert refused.value.field == "message.parts.1"

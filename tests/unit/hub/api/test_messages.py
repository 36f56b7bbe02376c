"""The digest of a message under an idempotency key stays what every release makes of it."""

from __future__ import annotations

import hashlib
from typing import Any

import hypothesis
import pydantic
from hypothesis import strategies as st

import tests.support.dice  # noqa: F401 - sets property tests up
from agent_bus.api import messages
from agent_bus.api.models.requests import SendBody
from agent_bus.core.sse import compact_json

TEXTS = st.text() | st.text('"\\/\b\f\n\r\t\x1f\x7f\x85\u2028\u2029\U0001f600é<&')


@hypothesis.given(
    body=TEXTS,
    subject=st.none() | TEXTS,
    to=st.none() | st.just("beta") | st.just(["beta", "@all", "c"]),
    priority=st.sampled_from(["normal", "high", "urgent"]),
    expires_in_s=st.none() | st.integers(1, 31_536_000),
    data=st.none() | st.dictionaries(TEXTS, st.floats(allow_nan=False) | st.integers() | TEXTS),
)
def test_the_digest_is_that_of_the_canonical_text(**fields: Any) -> None:
    try:
        body = SendBody.model_validate({"from": "alpha", **fields})
    except pydantic.ValidationError:
        hypothesis.reject()
    canonical = compact_json(body.model_dump(mode="json", by_alias=True))
    digest = hashlib.sha256(canonical.encode()).digest()
    assert messages._canonical_sha256(body) == digest


def test_the_digest_of_a_plain_message_is_a_known_one() -> None:
    body = SendBody.model_validate({"from": "alpha", "to": "beta", "body": "h\u2028é"})
    text = (
        '{"from":"alpha","to":"beta","body":"h\\u2028é","subject":null,"data":null,'
        '"priority":"normal","reply_to":null,"expires_in_s":null}'
    )
    assert messages._canonical_sha256(body) == hashlib.sha256(text.encode()).digest()

"""Signatures, judged by the official library."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from agent_bus.webhooks import signing
from tests.support.receiver import OTHER_SECRET, SECRET

KEYS = [base64.b64decode(one.removeprefix("whsec_")) for one in (SECRET, OTHER_SECRET)]
BODY = '{"type":"message.stored","data":{"body":"\u00fc"}}'.encode()


def test_either_secret_of_a_rotation_verifies_the_same_request() -> None:
    headers = signing.headers(KEYS, "ops_message_1_beta", int(time.time()), BODY)
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret).verify(BODY, headers)["type"] == "message.stored"
    with pytest.raises(WebhookVerificationError):
        Webhook(base64.b64encode(b"x" * 24).decode()).verify(BODY, headers)


def test_a_changed_body_id_or_time_is_noticed() -> None:
    now = int(time.time())
    headers = signing.headers(KEYS[:1], "id", now, BODY)
    for changed in (
        (BODY + b" ", headers),
        (BODY, {**headers, "webhook-id": "other"}),
        (BODY, {**headers, "webhook-timestamp": str(now + 1)}),
    ):
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            Webhook(SECRET).verify(*changed)


def test_the_signature_is_the_one_of_the_specification() -> None:
    # the example of the Standard Webhooks specification
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signing.signature(
        key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

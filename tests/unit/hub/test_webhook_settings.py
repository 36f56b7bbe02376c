"""The file of webhooks, and the secrets beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus import webhook_settings
from agent_bus.core import errors
from tests.support.receiver import OTHER_SECRET, SECRET

if TYPE_CHECKING:
    from pathlib import Path

ONE: dict[str, Any] = {"name": "ops", "url": "https://ops.example.com/hook", "fleet": True}


def written(folder: Path, *webhooks: Any) -> Path:
    path = folder / "webhooks.json"
    document = {"secrets_file": str(folder / "secrets"), "webhooks": webhooks}
    path.write_text(json.dumps(document))
    return path


def test_without_a_file_there_are_none() -> None:
    assert webhook_settings.load(None) == ()


def test_a_webhook_says_little_unless_told_otherwise(tmp_path: Path) -> None:
    (one,) = webhook_settings.load(written(tmp_path, ONE))
    assert (one.events, one.body, one.allow_private, one.allow_http) == (
        ("message",), False, False, False,
    )  # fmt: skip
    assert (one.host, one.port, one.is_tls) == ("ops.example.com", 443, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "http://ops.example.com/"}, "webhook ops: .*allow_http"),
        ({"url": "ftp://ops.example.com/"}, "webhook ops.url: .*https://host"),
        ({"url": "https://"}, "https://host"),
        ({"url": "https://user:pw@ops.example.com/"}, "no user or password"),
        ({"url": "https://ops.example.com/a b"}, "without blanks"),
        ({"url": "https://ops.example.com/#x"}, "fragment"),
        ({"url": "https://ops.example.com:0/"}, "port 0"),
        ({"url": "https://ops.example.com:99999/"}, "is no URL"),
        ({"url": "https://2130706433/"}, "in full"),
        ({"url": "https://127.1/"}, "in full"),
        ({"url": "https://0x7f.0.0.1/"}, "in full"),
        ({"url": "https://0177.0.0.1/"}, "in full"),
        ({"fleet": False}, "either fleet, or agents and groups"),
        ({"agents": ["alpha"]}, "either fleet, or agents and groups"),
        ({"events": []}, "webhook ops.events"),
        ({"events": ["sent"]}, "webhook ops.events.0"),
        ({"name": "Ops"}, "name"),
        ({"secret": "x"}, "webhook ops.secret"),
    ],
)
def test_each_fault_is_named_with_its_webhook(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.StartupError, match=words):
        webhook_settings.load(written(tmp_path, {**ONE, **change}))


def test_names_are_unique_and_there_are_not_too_many(tmp_path: Path) -> None:
    with pytest.raises(errors.StartupError, match="same name"):
        webhook_settings.load(written(tmp_path, ONE, ONE))
    many = [{**ONE, "name": f"w{n}"} for n in range(21)]
    with pytest.raises(errors.StartupError, match="at most 20"):
        webhook_settings.load(written(tmp_path, *many))


def test_two_secrets_are_valid_in_a_rotation(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text(json.dumps({"ops": [SECRET, OTHER_SECRET], "old": []}))
    (signed,) = webhook_settings.load_signed(written(tmp_path, ONE))
    assert [len(key) for key in signed.secrets] == [24, 31]
    assert repr(signed) == "Signed(ops)"


@pytest.mark.parametrize(
    "secrets",
    [{}, [], {"ops": []}, {"ops": SECRET}, {"ops": ["whsec_c2hvcnQ="]}, {"ops": ["c" * 32]},
     {"ops": [SECRET, "whsec_!!!"]}, {"ops": [7]}, "no JSON"],
)  # fmt: skip
def test_what_is_no_secret_is_refused_and_not_shown(tmp_path: Path, secrets: Any) -> None:
    text = secrets if secrets == "no JSON" else json.dumps(secrets)
    (tmp_path / "secrets").write_text(text)
    with pytest.raises(errors.StartupError) as refused:
        webhook_settings.load_signed(written(tmp_path, ONE))
    said = str(refused.value)
    assert str(tmp_path / "secrets") in said
    assert not any(one in said for one in (SECRET, "c2hvcnQ", "c" * 32, "!!!"))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.StartupError, match="secrets: cannot be read: No such file"):
        webhook_settings.load_signed(written(tmp_path, ONE))

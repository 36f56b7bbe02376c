from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus.core import errors
from agent_bus.settings import Settings, load

if TYPE_CHECKING:
    from pathlib import Path

LEAST = {"database": "/d/bus.db", "admin_tokens_file": "/d/tokens"}

HUBS = [{"name": name, "url": f"http://{name}:8091"} for name in ("a", "b")]


def loaded(folder: Path, **more: Any) -> Settings:
    path = folder / "hub.json"
    path.write_text(json.dumps({**LEAST, **more}))
    return load(path)


def test_two_keys_are_enough(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert (found.host, found.port) == ("0.0.0.0", 8091)
    assert found.worker_connections == found.streams_total + 1000


@pytest.mark.parametrize(
    ("bind", "host", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), ("[::1]:8091", "::1", 8091), ("hub:1", "hub", 1)],
)
def test_bind(tmp_path: Path, bind: str, host: str, port: int) -> None:
    found = loaded(tmp_path, bind=bind)
    assert (found.host, found.port) == (host, port)


def test_a_database_is_a_file_or_a_url(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert (str(found.sqlite_file), str(found.folder)) == ("/d/bus.db", "/d")
    url = "postgresql://bus@one,two:5433/bus?sslmode=verify-full"
    found = loaded(tmp_path, database=url, data_folder="/data")
    assert (found.database, found.sqlite_file, str(found.folder)) == (url, None, "/data")
    assert str(found.backups_folder) == "/data/backups"


def test_a_hub_finds_its_own_address_among_all(tmp_path: Path) -> None:
    found = loaded(tmp_path, name="b", hubs=HUBS)
    assert (found.hub_name, found.hub_url) == ("b", "http://b:8091")
    alone = loaded(tmp_path)
    assert (alone.hub_name, alone.hub_url) == (socket.gethostname(), None)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"lease": 5}, "did you mean 'lease_s'"),
        ({"bind": "8091"}, "bind"),
        ({"database": "bus.db"}, "absolute"),
        ({"database": "postgresql://u@h/n"}, "data_folder"),
        ({"database": "postgresql://u:secret@h/n", "data_folder": "/d"}, "password"),
        ({"database": "postgresql://u@h/n", "data_folder": "d"}, "absolute"),
        ({"database": "mysql://u@h/n"}, "postgresql://"),
        ({"name": "c", "hubs": HUBS}, "hubs must name each hub once, and this one too: c"),
        ({"name": "a", "hubs": [*HUBS, HUBS[0]]}, "hubs must name each hub once"),
        ({"hubs": [{"name": "a", "url": "a:8091"}]}, "hubs.0.url"),
        ({"readers": 0}, "readers"),
        ({"keepalive_s": 0}, "keepalive_s"),
        ({"tls_key_file": "/k"}, "set together or not at all"),
        ({"tls_key_file": "k", "tls_certificate_file": "/c"}, "absolute"),
        ({"zzz": 1}, "'zzz' is no setting"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, bad: dict[str, Any], word: str) -> None:
    with pytest.raises(errors.StartupError, match=word):
        loaded(tmp_path, **bad)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(errors.StartupError) as refused:
        loaded(tmp_path, readers=0, hop_limit=0)
    assert "readers" in str(refused.value)
    assert "hop_limit" in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "\ufeff{}"])
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hub.json"
    path.write_text(text)
    with pytest.raises(errors.StartupError, match=r"hub\.json"):
        load(path)
    with pytest.raises(errors.StartupError, match="cannot be read"):
        load(tmp_path)


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), st.integers() | st.text()))
def test_any_values_are_taken_or_refused_in_words(values: dict[str, Any]) -> None:
    from pydantic import ValidationError

    try:
        found = Settings.model_validate({**LEAST, **values})
    except ValidationError:
        return
    else:
        assert found.port >= 0

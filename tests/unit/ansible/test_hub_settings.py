from __future__ import annotations

import pytest

from agent_bus.settings import Settings
from roles.message_bus.filter_plugins.hub_settings import (
    DATABASE_CA,
    database_url,
    hub_settings,
    with_ca,
)

HUB = {"listens": "[::]:8091", "tls": "off", "ca": ""}
PLAIN = ["bind", "database", "admin_tokens_file"]
TLS = [*PLAIN, "tls_certificate_file", "tls_key_file"]


@pytest.mark.parametrize(
    ("hub", "names"),
    [
        (HUB, PLAIN),
        ({**HUB, "tls": "own"}, TLS),
        ({**HUB, "tls": "fleet", "ca": "/here/ca.crt"}, [*TLS, "tls_ca_file"]),
    ],
)
def test_the_server_knows_every_setting_in_a_lasting_order(
    hub: dict[str, str], names: list[str]
) -> None:
    made = hub_settings(hub, "hub-0123")
    assert list(made) == names
    settings = Settings.model_validate(made)
    assert settings.bind == "[::]:8091"


def test_hubs_on_postgresql_have_its_address_a_folder_and_the_password_s_file() -> None:
    url = database_url({"a": "10.0.0.1", "b": "b"}, 5432)
    made = hub_settings(HUB, "hub-0123", url, has_password=True)
    settings = Settings.model_validate(made)
    assert str(settings.database).startswith(
        "postgresql://agent_bus@10.0.0.1:5432,b:5432/agent_bus?"
    )
    assert "target_session_attrs=read-write&sslmode=verify-full" in str(settings.database)
    assert str(settings.folder) == "/var/lib/agent-bus-hub"
    assert str(settings.database_password_file).endswith("/database-password")


def test_an_operator_s_ca_is_checked_unless_the_address_says_how() -> None:
    options = f"sslrootcert={DATABASE_CA}&sslmode=verify-full"
    assert with_ca("postgresql://u@db/bus") == f"postgresql://u@db/bus?{options}"
    own = "postgresql://u@db/bus?sslmode=verify-ca"
    assert with_ca(own) == f"{own}&sslrootcert={DATABASE_CA}"
    assert with_ca("postgresql://u@db/bus?sslrootcert=system").endswith("sslrootcert=system")


def test_each_of_several_hubs_knows_its_name_and_all_addresses() -> None:
    hubs = [{"name": name, "url": f"http://{name}:8091"} for name in ("t440", "nuc")]
    one, several = (
        hub_settings({**HUB, "name": "nuc"}, "hub-0123", hubs=known) for known in (hubs[:1], hubs)
    )
    assert list(one) == PLAIN
    settings = Settings.model_validate(several)
    assert settings.hub_name == "nuc"
    assert settings.hub_url == "http://nuc:8091"
    assert [hub.name for hub in settings.hubs] == ["t440", "nuc"]

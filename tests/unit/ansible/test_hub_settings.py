from __future__ import annotations

import pytest

from agent_bus.settings import Settings
from roles.message_bus.filter_plugins.hub_settings import hub_settings

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

from __future__ import annotations

import pytest

from lab.fleet import standing
from lab.paths import ROOT, LabError
from lab.probe import look


def test_a_fleet_that_is_not_up_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert look.main(["--name", "no-such-fleet", "logs"]) == 1
    assert "fleet no-such-fleet is not up" in capsys.readouterr().err


def test_an_unknown_host_is_answered_with_the_known_ones() -> None:
    up = standing.Fleet("x", (), ROOT, (), False, None)  # type: ignore[arg-type]  # not asked
    with pytest.raises(LabError, match="has no host 'nope'"):
        standing.spec_of(up, "nope")

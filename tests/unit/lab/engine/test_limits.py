from __future__ import annotations

from pathlib import Path

import pytest

from lab.engine.limits import ENOUGH_INSTANCES, raise_inotify
from lab.paths import LabError


@pytest.mark.parametrize("enough", [1024, 8192])
def test_a_limit_that_is_high_enough_is_left_alone(tmp_path: Path, enough: int) -> None:
    setting = tmp_path / "max_user_instances"
    setting.write_text(f"{enough}\n")
    raise_inotify(setting)
    assert setting.read_text() == f"{enough}\n"


def test_the_kernels_own_limit_is_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setting = tmp_path / "max_user_instances"
    setting.write_text("128\n")
    raise_inotify(setting)
    assert int(setting.read_text()) == ENOUGH_INSTANCES
    assert "from 128 to 1024" in capsys.readouterr().out


def test_a_limit_that_cannot_be_raised_is_named_with_the_command() -> None:
    setting = Path("/proc/sys/kernel/ngroups_max")  # 65536, and nobody can change it
    with pytest.raises(LabError, match=r"sysctl -w fs.inotify.max_user_instances=1000000"):
        raise_inotify(setting, enough=1_000_000)

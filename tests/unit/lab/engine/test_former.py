from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.engine import former
from lab.paths import key_of

if TYPE_CHECKING:
    from pathlib import Path


def record(store: Path, container: str, text: str) -> None:
    folder = store / "overlay-containers" / container / "userdata"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(text)


def test_of_podmans_usual_store_only_containers_with_the_fleets_key_are_ours(
    tmp_path: Path,
) -> None:
    def of(key: str) -> str:
        return json.dumps({"mounts": [{"source": "/proc"}, {"source": key}]})

    record(tmp_path, "ours", of(str(key_of("demo").with_suffix(".pub"))))
    record(tmp_path, "other-fleet", of(str(key_of("demo2").with_suffix(".pub"))))
    record(tmp_path, "other-clone", of("/srv/clone/.cache/lab/demo/ssh/id_ed25519.pub"))
    record(tmp_path, "strangers", json.dumps({}))
    record(tmp_path, "half-written", "{")
    assert former.ids("demo", tmp_path) == ["ours"]
    assert former.ids("demo", tmp_path / "none") == []

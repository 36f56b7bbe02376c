#!/usr/bin/env bash
# pydantic 2.14.3: a model with `defer_build=True` cannot be built by a caller with few frames below it
#   it is built by its first use, which looks some frames up for names of its annotations: at the top of a program,
#   of a thread or of an event loop's callback there are none, and `ValueError: call stack is not deep enough` comes
#   out of `__pydantic_validator__.validate_json`; one that was built before, or is used from deeper, works
# Why it matters: whether a request can be read depends on how deep the code was that read the first one. The page on
# `defer_build` says that it speeds up imports, and nothing of frames.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.3 2>/dev/null
cat >"$folder/look.py" <<'PY'
import sys

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    model_config = ConfigDict(defer_build=True)
    to: str


def from_below(frames):
    return from_below(frames - 1) if frames else Body.__pydantic_validator__.validate_json(b'{"to": "you"}')


try:
    if sys.argv[1] == "deep":
        print(from_below(5).to)
    else:
        print(Body.__pydantic_validator__.validate_json(b'{"to": "you"}').to)
except ValueError as error:
    print(f"ValueError: {error}")
PY
look() { "$folder/venv/bin/python" "$folder/look.py" "$1"; }
deep=$(look deep) shallow=$(look shallow)
printf '%s\n' "from five frames down: $deep" "from the top:          $shallow"
[ "$deep" = you ] && [ "$shallow" = "ValueError: call stack is not deep enough" ] || { echo "this has changed"; exit 1; }
echo "as described"

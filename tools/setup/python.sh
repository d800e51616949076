#!/bin/bash
# Makes the tests' Python environment, once a machine and lock file, in the cache; prints its folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/fetch.sh
source "$here/fetch.sh"

lock=$here/../../tests/requirements.txt
folder=$cache/python-$(sha256sum "$lock" | cut -c1-12)
if [ ! -e "$folder/.complete" ]; then
  say "Python packages for the tests (once a machine)" >&2
  mkdir -p "$cache"
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: -r "$lock" >&2
  touch "$folder/.complete"
fi
echo "$folder"

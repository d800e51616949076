#!/bin/bash
# Makes a virtual environment of another Python than the machine's, the oldest that models may use, with its own NumPy: Debian 11's
# Python 3.9, once a machine, in the cache. Prints the environment's folder. For tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/fetch.sh
source "$here/fetch.sh"

folder=$cache/python39-$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-12)
if [ ! -e "$folder/.complete" ]; then
  say "Python 3.9 for the tests (once a machine)" >&2
  mkdir -p "$cache"
  exec 9>"$folder.lock"
  flock 9
fi
if [ ! -e "$folder/.complete" ]; then
  rm -rf "$folder" && mkdir -p "$folder/debs"
  (cd "$folder/debs" && fetch_debs bullseye python3.9-minimal=3.9.2-1 libpython3.9-minimal=3.9.2-1 libpython3.9-stdlib=3.9.2-1 libffi7=3.3-6)
  (cd "$folder/debs" && sha256sum --check --quiet) <<'SUMS'
5d6003c5c20223a2547ac4976e09a9ec778dbe351507a6292bef3b60df5f4aa7  python3.9-minimal_3.9.2-1_amd64.deb
594283526d67e03e3c4e96534f6bfe5da1bf41da5d49360553c9b79fbf08c4ab  libpython3.9-minimal_3.9.2-1_amd64.deb
32ac64d959ac2dbc5bb289532fc9834dab8f671b5455695a3a9315aad973c65b  libpython3.9-stdlib_3.9.2-1_amd64.deb
30ca89bfddae5fa6e0a2a044f22b6e50cd17c4bc6bc850c579819aeab7101f0f  libffi7_3.3-6_amd64.deb
SUMS
  for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$folder/root"; done
  rm -r "$folder/debs"
  numpy=$(fetch 'numpy-2.0.2-cp39-*.whl' f26b258c385842546006213344c50655ff1555a9338e2e5e02a0756dc3e803dd \
    --only-binary=:all: --python-version 3.9 --implementation cp --abi cp39 --platform manylinux_2_17_x86_64 numpy==2.0.2)
  LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu "$folder/root/usr/bin/python3.9" -m venv --without-pip "$folder/env"
  python3 -m zipfile -e "$numpy" "$folder/env/lib/python3.9/site-packages"
  cp "$folder"/root/usr/lib/x86_64-linux-gnu/libffi.so.7* "$folder/env/lib/" # where a worker looks first
  touch "$folder/.complete"
fi
echo "$folder/env"

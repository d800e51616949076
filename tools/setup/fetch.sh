# To be sourced: fetches pinned files from PyPI by name into the per-machine cache and checks their SHA-256.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nereid/deps
say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# fetch FILE_GLOB SHA256 pip-download arguments...: prints the path of the checked file
fetch() {
  local glob=$1 sha=$2 file
  shift 2
  file=$(ls "$cache"/downloads/$glob 2>/dev/null | head -n 1 || true)
  if [ -z "$file" ]; then
    mkdir -p "$cache/downloads"
    local part
    part=$(mktemp -d "$cache/downloads/.part.XXXXXX")
    python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$part" "$@" >&2 || { rm -rf "$part"; return 1; }
    mv "$part"/$glob "$cache/downloads/" && rm -rf "$part"
    file=$(ls "$cache"/downloads/$glob | head -n 1)
  fi
  echo "$sha  $file" | sha256sum --check --quiet >&2 || { rm -f "$file"; fail "$(basename "$file") has the wrong SHA-256, the download was removed; run again"; }
  echo "$file"
}
wheel=(--only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none)
for minor in 17 24 27 28 31 34 35; do wheel+=(--platform "manylinux_2_${minor}_x86_64"); done
wheel+=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64 --platform any)

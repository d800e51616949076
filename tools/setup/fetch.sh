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

# fetch_debs SUITE PACKAGE=VERSION...: downloads Debian packages of another suite into this folder, with the machine's own Debian source,
# apart from the machine's lists. The caller checks their SHA-256.
fetch_debs() {
  local suite=$1 lists mirror
  shift
  mirror=$(apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^bookworm main //p' | head -n 1)
  [ -n "$mirror" ] || { echo "setup: no apt source for bookworm main was found to fetch $* with" >&2; return 1; }
  lists=$(mktemp -d)
  mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial" "$lists/empty"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$lists/sources.list"
  local private=(-o Dir::Etc::sourcelist="$lists/sources.list" -o Dir::Etc::sourceparts="$lists/empty" -o Dir::State::lists="$lists/lists"
    -o Dir::Cache="$lists/cache" -o APT::Architectures=amd64 -o APT::Sandbox::User=root -o Acquire::Languages=none)
  apt-get -qq "${private[@]}" update && apt-get -qq "${private[@]}" download "$@" || { rm -rf "$lists"; return 1; }
  rm -rf "$lists"
}

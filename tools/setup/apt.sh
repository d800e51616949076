#!/bin/bash
# Installs Debian's packages that Nereid builds and tests with. Does nothing when all are there.
# Usage: apt.sh build|bench
set -euo pipefail

build=(
  clang-19 lld-19 libclang-rt-19-dev clang-format-19 clang-tidy-19 cmake ninja-build ccache pkg-config
  libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libsimdjson-dev
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc prometheus-cpp-dev
  libspdlog-dev libfmt-dev libsqlite3-dev libyaml-cpp-dev libcli11-dev libssl-dev zlib1g-dev libnghttp2-dev
  libgtest-dev libgmock-dev python3 libpython3-dev python3-venv python3-pip curl ca-certificates git openssl procps
)
bench=(nginx-light haproxy wrk)

case ${1-} in
  build) wanted=("${build[@]}") ;;
  bench) wanted=("${bench[@]}") ;;
  *) echo "usage: apt.sh build|bench" >&2; exit 2 ;;
esac

missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "setup: these Debian packages are missing, and installing them needs root or sudo: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup: installing ${#missing[@]} Debian packages"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
  -o Dpkg::Use-Pty=0 -o APT::Status-Fd=3 "${missing[@]}" 3> >(awk -F: '
    /^(dl|pm)status/ { p = int($3); if (p >= last + 10 || p < last) { printf "setup: packages %s %d%%\n", ($1 == "dlstatus" ? "download" : "install"), p; fflush(); last = p } }') >/dev/null

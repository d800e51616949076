#!/bin/bash
# Fetches and builds the pinned third-party parts that Debian does not carry, once a machine, into the cache:
#   ${XDG_CACHE_HOME:-~/.cache}/nereid/deps/<part>-<hash of its recipe>
# Usage: deps.sh onnxruntime|llama|PART...   prints nothing when all are there; deps.sh --path PART prints its folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/fetch.sh
source "$here/fetch.sh"

# ---- the recipes: build_PART fills the folder $1; recipe_PART is what its hash is taken of

recipe_onnxruntime() { echo "onnxruntime 1.32.0 headers 1.21.0+dfsg-1 r1"; }
build_onnxruntime() {
  local file headers
  file=$(fetch 'onnxruntime-1.32.0-*.whl' 5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d "${wheel[@]}" onnxruntime==1.32.0)
  python3 -m zipfile -e "$file" "$1/wheel"
  mkdir -p "$1/lib"
  mv "$1"/wheel/onnxruntime/capi/libonnxruntime.so.1.32.0 "$1/lib/libonnxruntime.so.1"
  mv "$1"/wheel/onnxruntime/LICENSE "$1"/wheel/onnxruntime/ThirdPartyNotices.txt "$1/" 2>/dev/null || true
  rm -rf "$1/wheel"
  # Debian 13 carries the headers.
  (cd "$1" && fetch_debs trixie libonnxruntime-dev=1.21.0+dfsg-1) || fail "the ONNX Runtime headers could not be fetched; set ORT_ROOT to a folder with include/ and lib/"
  headers=$(ls "$1"/libonnxruntime-dev_*.deb)
  echo "14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08  $headers" | sha256sum --check --quiet
  dpkg -x "$headers" "$1/deb"
  mv "$1/deb/usr/include" "$1/include"
  rm -rf "$1/deb" "$headers"
}

recipe_llama() { echo "llama-cpp-python 0.3.36 x86-64-v3 r1"; }
build_llama() {
  local file
  file=$(fetch 'llama_cpp_python-0.3.36.tar.gz' 832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e --no-binary llama-cpp-python llama-cpp-python==0.3.36)
  tar -xf "$file" -C "$1" --strip-components=3 llama_cpp_python-0.3.36/vendor/llama.cpp
  cmake -S "$1" -B "$1/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
    -DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld-19 -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF \
    -DGGML_OPENMP=OFF -DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_CCACHE=OFF \
    -DLLAMA_CURL=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF >"$1/configure.log"
  NINJA_STATUS='setup: llama.cpp [%f/%t] ' ninja -C "$1/build" llama llama-common
}

path_of() { echo "$cache/$1-$("recipe_$1" | sha256sum | cut -c1-12)"; }

if [ "${1-}" = --path ]; then path_of "$2"; exit; fi
[ $# -gt 0 ] || fail "say which parts: onnxruntime llama"
mkdir -p "$cache"
for part in "$@"; do
  declare -F "build_$part" >/dev/null || fail "unknown part '$part'"
  folder=$(path_of "$part")
  [ ! -e "$folder/.complete" ] || continue
  exec 9>"$folder.lock"
  flock 9
  if [ ! -e "$folder/.complete" ]; then
    say "$part: fetching and building into $folder (once a machine)"
    # Built in its final place: CMake's build trees hold absolute paths.
    rm -rf "$folder" && mkdir -p "$folder"
    "build_$part" "$folder"
    touch "$folder/.complete"
  fi
  exec 9>&-
done

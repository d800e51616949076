#!/bin/bash
# Configures and builds a preset. Usage: build.sh PRESET TARGET...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=$1
shift
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_BASEDIR=$PWD
log=build/$preset.configure.log
mkdir -p build
cmake --preset "$preset" >"$log" 2>&1 || { tail -n 30 "$log" >&2; exit 1; }
NINJA_STATUS="build: $preset [%f/%t] " exec ninja -C "build/$preset" "$@"

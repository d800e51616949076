#!/bin/bash
# Runs all tests on build/release: unit and golden (one binary a module), then integration and conformance through pytest,
# whose summary line is the last. Usage: test.sh [unit|pytest] [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${NEREID_PRESET:-release}
build=$PWD/build/$preset
what=${1-all}
[ $# = 0 ] || shift

unit() {
  local failed=0 binary name
  while read -r name; do
    [ -n "$name" ] || continue
    binary=$build/src/$name
    printf 'unit: %-28s ' "$name"
    if output=$("$binary" --gtest_brief=1 2>&1); then
      tail -n 1 <<<"$output" | sed 's/^\[ *//; s/ *\] */ /'
    else
      failed=1
      echo FAILED
      cat <<<"$output"
    fi
  done <"$build/unit_tests.txt"
  return "$failed"
}

case $what in
  unit) unit ;;
  all | pytest)
    [ "$what" = pytest ] || unit
    python=$(tools/setup/python.sh)
    node=$(tools/setup/node.sh)
    export NEREID_BINARY=$build/nereid NEREID_BUILD=$build NEREID_NODE=$node PYTHONDONTWRITEBYTECODE=1
    "$python/bin/python" -m pytest -p no:cacheprovider -q -rs --timeout=300 tests "$@"
    ;;
  *) echo "usage: test.sh [unit|pytest] [pytest arguments]" >&2; exit 2 ;;
esac

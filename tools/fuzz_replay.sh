#!/bin/bash
# Runs each fuzz target over its corpus once. A target without a corpus is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for source in fuzz/*_fuzz.cc; do
  name=$(basename "$source" .cc)
  corpus=fuzz/corpus/${name%_fuzz}
  [ -n "$(ls -A "$corpus" 2>/dev/null)" ] || { echo "fuzz: $name has no corpus in $corpus" >&2; exit 1; }
  printf 'fuzz: %-24s %s inputs\n' "$name" "$(find "$corpus" -type f | wc -l)"
  "build/fuzz/fuzz/$name" -runs=0 "$corpus" >"build/fuzz/$name.log" 2>&1 || { tail -n 30 "build/fuzz/$name.log" >&2; exit 1; }
done

#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a build tree, skipping files whose text, headers and checks did not change since they passed.

usage: tidy.py BUILD_FOLDER [PATH_PREFIX ...]
"""
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "nereid", "tidy")


def digest(build, path):
    """hash of the file, of all project headers, and of the checks: a header's change is a change of all"""
    state = hashlib.sha256()
    for name in [".clang-tidy", path] + HEADERS:
        with open(os.path.join(ROOT, name), "rb") as f:
            state.update(f.read())
    return state.hexdigest()


def project_files(*endings):
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "src"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted(n for n in names if n.endswith(endings))


def run(build, path):
    mark = os.path.join(CACHE, digest(build, path))
    if os.path.exists(mark):
        return path, True, ""
    # The precompiled header was made with another front end's options; clang-tidy reads the plain header instead.
    result = subprocess.run(["clang-tidy-19", "--quiet", "-p", build, path], cwd=ROOT, capture_output=True, text=True)
    if result.returncode == 0:
        os.makedirs(CACHE, exist_ok=True)
        open(mark, "w").close()
    return path, result.returncode == 0, result.stdout + result.stderr


def main():
    build = sys.argv[1]
    prefixes = tuple(sys.argv[2:]) or ("src/",)
    known = {os.path.relpath(e["file"], ROOT) for e in json.load(open(os.path.join(ROOT, build, "compile_commands.json")))}
    files = [f for f in project_files(".cc") if f in known and f.startswith(prefixes) and not f.endswith("_test.cc")]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        for number, (path, passed, output) in enumerate(pool.map(lambda f: run(build, f), files), 1):
            if sys.stdout.isatty() or not passed:
                print(f"tidy: [{number}/{len(files)}] {path}", flush=True)
            if not passed:
                failed += 1
                print(output, flush=True)
    print(f"tidy: {failed} of {len(files)} files failed" if failed else f"tidy: {len(files)} files pass")
    return 1 if failed else 0


HEADERS = project_files(".h")
if __name__ == "__main__":
    sys.exit(main())

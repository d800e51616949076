#!/usr/bin/env python3
"""Checks the layer law: an include points to a lower rank, and modules of equal rank never include each other.

usage: layers.py [--write]     --write renews docs/modules.md
Exits 1 and names each line that breaks the law.
"""
import os
import re
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SOURCE = os.path.join(ROOT, "src")

# rank -> modules, as in ARCHITECTURE.md
RANKS = [
    ["base"],
    ["net", "codec", "metrics", "trace", "proto"],
    ["config", "api"],
    ["protocol", "gateway", "accounts", "models", "store", "shared_state", "jobs"],
    ["providers", "backends/identity", "backends/onnxruntime", "backends/llama", "backends/python", "http", "grpc"],
    ["server", "cli"],
]
RANK = {module: rank for rank, modules in enumerate(RANKS) for module in modules}

# What a module may use less than its rank allows, or more. A backend sees api and proto, never models; rank 4 sees protocol of rank 3 only.
ALLOWED_RANK3_FROM_RANK4 = {"protocol"}
SIBLINGS = {("server", "cli")}  # server/ knows everybody
EXTRA = {("api", "net")}

# third-party headers that only some modules may see: pattern -> modules
THIRD_PARTY = [
    (r"sqlite3\.h|pqxx/", {"store"}),
    (r"grpcpp/|grpc/(grpc|support)", {"grpc"}),
    (r"google/protobuf/", {"proto", "protocol", "models", "grpc", "backends/identity", "backends/onnxruntime", "backends/llama", "backends/python", "http"}),
    (r"llama\.h|ggml.*\.h|gguf\.h|common/|chat\.h", {"backends/llama"}),
    (r"onnxruntime", {"backends/onnxruntime"}),
    (r"yaml-cpp/", {"config"}),
    (r"CLI/", {"config", "cli"}),
    (r"spdlog/", {"base"}),
    (r"prometheus/", {"metrics", "models"}),
]


def module_of(path):
    """the module that a path relative to src belongs to, or None"""
    parts = path.split("/")
    if parts[0] == "backends" and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0] if len(parts) > 1 else None


def files():
    for folder, _, names in os.walk(SOURCE):
        for name in sorted(names):
            if name.endswith((".h", ".cc")):
                path = os.path.relpath(os.path.join(folder, name), SOURCE)
                if module_of(path):
                    yield path


def includes(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if match:
                yield number, match.group(2)


def breach(user, used):
    """why `user` may not include `used`, or None"""
    if user == used or (user, used) in SIBLINGS:
        return None
    if used not in RANK:
        return f"'{used}' is no module of the table"
    if RANK[used] > RANK[user]:
        return f"{user} (rank {RANK[user]}) includes {used} above it (rank {RANK[used]})"
    if RANK[used] == RANK[user] and (user, used) not in EXTRA:
        return f"{user} and {used} have the same rank {RANK[user]}: what they need of each other is an interface in api/"
    if RANK[user] == 4 and RANK[used] == 3 and used not in ALLOWED_RANK3_FROM_RANK4:
        return f"{user} may use only {', '.join(sorted(ALLOWED_RANK3_FROM_RANK4))} of rank 3, not {used}"
    return None


def check():
    errors, edges = [], {}
    for path in files():
        user = module_of(path)
        if user not in RANK:
            errors.append(f"src/{path}: '{user}' is no module of the table")
            continue
        for number, name in includes(path):
            used = module_of(name)
            if used and (used in RANK or os.path.isdir(os.path.join(SOURCE, used))) and used != "common":
                if used != user:
                    edges.setdefault(user, set()).add(used)
                why = breach(user, used)
                if why:
                    errors.append(f"src/{path}:{number}: {why}")
            for pattern, allowed in THIRD_PARTY:
                if re.match(pattern, name) and user not in allowed and not path.endswith("_test.cc"):
                    errors.append(f"src/{path}:{number}: {user} may not include {name} (only {', '.join(sorted(allowed))})")
    return errors, edges


def graph(edges):
    lines = ["# Modules and what they include", "", "Written by `tools/layers.py --write`; an arrow points to what is included.", "", "```mermaid", "graph TD"]
    for user in sorted(edges, key=lambda m: (-RANK[m], m)):
        for used in sorted(edges[user]):
            lines.append(f"  {user.replace('/', '_')} --> {used.replace('/', '_')}")
    lines += ["```", "", "| module | rank | includes |", "|---|---|---|"]
    for rank, modules in enumerate(RANKS):
        for module in modules:
            if module in edges or os.path.isdir(os.path.join(SOURCE, module)):
                lines.append(f"| {module} | {rank} | {', '.join(sorted(edges.get(module, []))) or 'nothing'} |")
    return "\n".join(lines) + "\n"


def main():
    errors, edges = check()
    for error in errors:
        print(error)
    path = os.path.join(ROOT, "docs", "modules.md")
    text = graph(edges)
    if "--write" in sys.argv:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    print(f"layers: {len(errors)} breaches" if errors else "layers: the law holds")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

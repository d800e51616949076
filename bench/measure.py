"""What every bench shares: CPU time of a process, load from wrk, medians of interleaved rounds, tables."""
import datetime
import glob
import os
import platform
import re
import socket
import statistics
import subprocess
import sys

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _times(path):
    with open(path) as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def children(pid):
    found = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path) as file:
            for child in file.read().split():
                found += children(int(child))
    return found


def cpu_seconds(pid):
    """user and system time of a process and its children"""
    return sum(_times(f"/proc/{each}/stat") for each in children(pid))


def thread_cpu_seconds(pid, prefix):
    """of the threads whose name starts with `prefix`"""
    total = 0
    for folder in glob.glob(f"/proc/{pid}/task/*"):
        with open(f"{folder}/comm") as file:
            if file.read().startswith(prefix):
                total += _times(f"{folder}/stat")
    return total


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024


def wrk(url, connections, seconds, script=None, threads=1):
    """requests, rps and p50/p99 in ms; an error status or a broken connection fails the bench"""
    command = ["wrk", "--latency", f"-t{threads}", f"-c{connections}", f"-d{seconds}s"]
    if script:
        command += ["-s", str(script)]
    output = subprocess.run(command + [url], check=True, capture_output=True, text=True).stdout
    bad = [line.strip() for line in output.splitlines() if "Non-2xx" in line or "Socket errors" in line]
    if bad:
        sys.exit(f"{url}: {bad}")

    def ms(percentile):
        value, unit = re.search(rf"\s{percentile}%\s+([\d.]+)(us|ms|s)", output).groups()
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    return {"requests": int(re.search(r"(\d+) requests in", output).group(1)),
            "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1)), "p50": ms(50), "p99": ms(99)}


def interleaved(rounds, subjects, measure):
    """`measure(name)` for each subject in turn, round after round; name -> key -> median"""
    seen = {name: [] for name in subjects}
    for number in range(rounds):
        for name in subjects:
            print(f"round {number + 1}/{rounds}: {name}", file=sys.stderr, flush=True)
            seen[name].append(measure(name))
    return {name: {key: statistics.median(each[key] for each in runs) for key in runs[0]} for name, runs in seen.items()}


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read()).group(1)
    used, all_of_them = len(os.sched_getaffinity(0)), os.cpu_count()  # fewer under taskset
    return f"{datetime.date.today()}, {all_of_them if used == all_of_them else f'{used} of {all_of_them}'} x {model}, Linux {platform.release()}"


def table(columns, rows):
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print(flush=True)

"""What a real Triton 2.51.0 answered, replayed against this server. The floors are what is reached: a change that loses a case fails here,
one that wins some raises them. docs/triton_differences.md says where the answers differ on purpose."""
import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from conformance.replay import Grpc, Score, compare_grpc, compare_http, replay, send_http, words
from support.python_models import PYTHON
from support.server import BUILD, Server

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
TRITON = os.path.join(BUILD, "tritonserver")

LATER = ("seq_", "ens_", "cached")  # their schedulers are not there yet
UNLOADED = {"fail_init", "fail_import", "fail_noclass", "fail_noversion", "fail_badtext", "fail_nobackend", "fail_unused"}
# What is reached of each group: exact, and exact or loose.
FLOORS = {
    "http": {
        "bad_body": (34, 34), "bad_json": (5, 5), "binary_errors": (13, 14), "bls": (2, 2), "classification": (8, 8),
        "compression": (17, 17), "config": (11, 11), "decoupled": (3, 3), "generate": (33, 34), "health": (17, 17), "infer": (33, 33),
        "infer_dtype": (63, 63), "logging": (14, 14), "metadata": (13, 13), "methods": (11, 11), "model_errors": (8, 9),
        "optional": (2, 2), "params": (7, 8), "queue": (8, 8), "repository": (12, 23), "routes": (7, 7), "shared_memory": (6, 6),
        "statistics": (5, 5), "trace": (17, 17), "versions": (16, 16)},
    "grpc": {
        "classification": (4, 4), "config": (10, 10), "health": (8, 10), "infer": (8, 8), "infer_dtype": (15, 15),
        "infer_errors": (19, 19), "logging": (0, 0), "metadata": (8, 8), "model_errors": (10, 10), "optional": (0, 0), "params": (9, 9),
        "queue": (2, 2), "repository": (8, 13), "shared_memory": (0, 0), "statistics": (2, 2), "stream": (11, 11), "trace": (0, 0),
        "versions": (13, 13)},
}


def cases(name):
    with open(os.path.join(DATA, name)) as file:
        return [json.loads(line) for line in file]


def write_files(folder, files):
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(base64.b64decode(content["base64"]) if isinstance(content, dict) else content.encode())


def write_model(repository, name, files):
    write_files(repository / name, files)
    (repository / name / "1").mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """serve(*flags) -> a server in explicit mode on the models that the real Triton served"""
    servers = []

    def start(*flags):
        folder = tmp_path_factory.mktemp("recorded")
        with open(os.path.join(DATA, "models.json")) as file:
            for name, files in json.load(file).items():
                write_files(folder / "models" / name, files)
        servers.append(Server(folder, f"--model-repository={folder / 'models'}", "--model-control-mode=explicit", PYTHON, *flags,
                              "--http-header-forward-pattern=(?i)x-fwd-.*", "--grpc-header-forward-pattern=x-fwd-.*", "--v2-auth=open"))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


def main_flags():
    """those that load what was loaded when the cases were recorded, as far as it can be loaded"""
    with open(os.path.join(DATA, "models.json")) as file:
        names = [n for n in json.load(file) if not n.startswith(LATER) and n not in UNLOADED]
    return [f"--load-model={name}" for name in names]


@pytest.fixture(scope="module")
def recorded(serve):
    return serve(*main_flags())


def reached(score, exact, loose):
    print(score)
    assert score.exact >= exact and score.loose >= loose, str(score)


def groups(kind):
    return sorted({case["group"] for case in cases(f"{kind}.jsonl")} - {"repository"})


def replay_group(kind, group, server):
    score = Score()
    client = Grpc(server.grpc) if kind == "grpc" else None
    send, compare = (client.send, compare_grpc) if client else (lambda request: send_http(server.http, request), compare_http)
    for case in cases(f"{kind}.jsonl"):
        if case["group"] == group:
            replay(case, send, compare, score)
    if client:
        client.close()
    assert server.alive()
    exact, loose = FLOORS[kind][group]
    reached(score, exact, loose)


@pytest.mark.parametrize("group", groups("http"))
def test_http_cases(recorded, group):
    replay_group("http", group, recorded)


@pytest.mark.parametrize("group", groups("grpc"))
def test_grpc_cases(recorded, group):
    replay_group("grpc", group, recorded)


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_cases_that_change_the_repository(serve, kind):
    replay_group(kind, "repository", serve(*main_flags()))


def test_what_killed_the_real_server_gets_a_clear_error(recorded):
    server = recorded
    for case in cases("crashes.jsonl"):
        for step in case["steps"]:
            answer = send_http(server.http, step["req"])
            assert 400 <= answer["status"] < 600 and answer["json"]["error"], (case["id"], answer)
    assert send_http(server.http, {"method": "GET", "path": "/v2/health/live"})["status"] == 200


def good_member():
    selected = {case["id"]: case["files"] for case in cases("loads.jsonl")}
    return {**selected["no_version_dir"], "1/model.py": selected["no_backend"]["1/model.py"]}


def test_load_errors(tmp_path):
    selected, repository = cases("loads.jsonl"), tmp_path / "repository"
    write_model(repository, "good_member", good_member())
    for case in selected:
        write_model(repository, case["id"], case["files"])
        if not any("/" in path for path in case["files"]) or not any(p.startswith("1/") for p in case["files"]):
            (repository / case["id"] / "1").rmdir()
    server, score = Server(tmp_path, f"--model-repository={repository}", "--model-control-mode=explicit", "--load-model=good_member", "--v2-auth=open", PYTHON).start(), Score()
    try:
        for case in selected:
            name, wanted = case["id"], case["load"]
            answer = send_http(server.http, {"method": "POST", "path": f"/v2/repository/models/{name}/load", "body": "{}"})
            text = answer.get("text", "").replace(str(repository), "$REPO")
            got = json.loads(text) if text else ""
            same_status = answer["status"] == wanted["status"]
            named = words(name) & words(str(wanted["json"])) <= words(text)
            score.add(name, same_status and got == wanted["json"], same_status and named, f"{answer['status']} {got!r} != {wanted['status']} {wanted['json']!r}")
        assert server.alive()
    finally:
        server.stop()
    reached(score, exact=28, loose=36)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(s.getsockname()[1]) for s in sockets]
    for each in sockets:
        each.close()
    return ports


def run_command_line(arguments, folder):
    """Triton's flags on free ports -> ("running", what is seen) or (the exit code, the output)"""
    ports = dict(zip(("18100", "18101", "18102", "18103"), free_ports(4)))
    for recorded, port in ports.items():
        arguments = [a.replace("=" + recorded, "=" + port) for a in arguments]
    given = {a.split("=")[0] for a in arguments}
    services = dict(zip(("http", "grpc", "metrics"), ports.values()))
    flags = [f"--{s}-port={p}" for s, p in services.items()] + [f"--{s}-address=127.0.0.1" for s in services]
    log = folder / "output"
    with open(log, "w") as output:
        process = subprocess.Popen([TRITON, *arguments, *(f for f in flags if f.split("=")[0] not in given)], stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "XDG_STATE_HOME": str(folder), "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"]})

    def ask(service, path):
        return send_http("127.0.0.1:" + services[service], {"method": "GET", "path": path})["status"]

    without_http = "--allow-http=false" in arguments
    try:
        end = time.monotonic() + 15
        while time.monotonic() < end and process.poll() is None and not ask(*(("metrics", "/metrics") if without_http else ("http", "/v2/health/live"))):
            time.sleep(0.02)
        if process.poll() is not None:
            text = log.read_text()
            for recorded, port in ports.items():
                text = re.sub(rf"(?<=[:=]){port}\b", recorded, text)
            return process.returncode, text
        seen = {"ready": ask("http", "/v2/health/ready"), "metrics": ask("metrics", "/metrics")}
        process.send_signal(signal.SIGINT)
        return "running", {**seen, "end": process.wait(40)}
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_command_lines(tmp_path):
    member = good_member()
    good, bad = tmp_path / "good", tmp_path / "bad"
    for repository in (good, bad):
        write_model(repository, "good_member", member)
    write_model(bad, "py_noclass", {"config.pbtxt": member["config.pbtxt"].replace("python", "no_such_backend")})
    score = Score()
    for case in cases("cli.jsonl"):
        folder = tmp_path / case["id"]
        folder.mkdir()
        state, seen = run_command_line([a.replace("$BADREPO", str(bad)).replace("$REPO", str(good)) for a in case["args"]], folder)
        if case["exit_code"] == "hang":  # a refusal with a line is better
            score.add(case["id"], state not in ("running", 0), False, "neither an end nor an error")
        elif state == case["exit_code"] == "running":
            wanted = {"ready": case["ready_status"], "metrics": case["metrics_status"], "end": case["rc_after_sigint"]}
            score.add(case["id"], seen == wanted, True, f"{seen} != {wanted}")
        elif state == case["exit_code"]:
            last = seen.strip().splitlines()[-1].replace(str(bad), "$BADREPO").replace(str(good), "$REPO") if seen.strip() else ""
            wanted = case["last_line"].rstrip()
            usage = case["last_line"].startswith(("\t", " "))  # the end of Triton's usage text: any last line will do
            score.add(case["id"], last == wanted or (usage and last), bool(last), f"{last!r} != {wanted!r}")
        else:
            score.add(case["id"], False, False, f"{state} {str(seen)[-200:]!r} != {case['exit_code']} {case.get('last_line', '')!r}")
    reached(score, exact=43, loose=46)

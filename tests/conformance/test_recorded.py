"""What a real Triton 2.51.0 answered, replayed against this server. The floors are what is reached: a change that loses a case fails here,
one that wins some raises them. docs/triton_differences.md says where the answers differ on purpose."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from conformance.replay import Grpc, Score, compare_grpc, compare_http, replay, send_http, words
from support.server import BUILD, Server

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
TRITON = os.path.join(BUILD, "tritonserver")


def cases(name):
    with open(os.path.join(DATA, name)) as file:
        return [json.loads(line) for line in file]


def write_model(repository, name, files):
    """The recorded models are Python models; where the model only has to exist, or gives back what it got, `identity` stands in."""
    (repository / name / "1").mkdir(parents=True)
    for path, text in files.items():
        target = repository / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace('backend: "python"', 'backend: "identity"'))


def identity_models(folder):
    repository = folder / "models"
    with open(os.path.join(DATA, "models.json")) as file:
        for name, files in json.load(file).items():
            write_model(repository, name, files)
    return repository


@pytest.fixture
def explicit(tmp_path):
    """explicit(*loaded) -> a server in explicit mode on the stand-in models, with those loaded"""
    servers = []

    def start(*loaded):
        flags = [f"--model-repository={identity_models(tmp_path)}", "--model-control-mode=explicit", "--v2-auth=open",
                 "--http-header-forward-pattern=(?i)x-fwd-.*", *(f"--load-model={m}" for m in loaded)]
        servers.append(Server(tmp_path, *flags))
        return servers[-1].start()

    yield start
    for server in servers:
        server.stop()


def reached(score, exact, loose):
    print(score)
    assert score.exact >= exact and score.loose >= loose, str(score)


def test_http_cases_that_need_no_model(explicit):
    server, score = explicit(), Score()
    for case in cases("http_without_models.jsonl"):
        replay(case, lambda request: send_http(server.http, request), compare_http, score)
    assert server.alive()
    reached(score, exact=74, loose=74)


def test_grpc_cases_that_need_no_model(explicit):
    server, score = explicit(), Score()
    client = Grpc(server.grpc)
    for case in cases("grpc_without_models.jsonl"):
        replay(case, client.send, compare_grpc, score)
    client.close()
    assert server.alive()
    reached(score, exact=16, loose=19)


def test_http_cases_that_an_identity_model_can_answer(explicit):
    selected = cases("http_identity.jsonl")
    loaded = sorted({m for c in selected for s in c["steps"] if "req" in s for m in re.findall(r"/models/([^/?]+)", s["req"]["path"])})
    server, score = explicit(*loaded), Score()
    for case in selected:
        replay(case, lambda request: send_http(server.http, request), compare_http, score)
    assert server.alive()
    reached(score, exact=132, loose=134)


def test_what_killed_the_real_server_gets_a_clear_error(explicit):
    server = explicit("simple", "identity_bytes")
    for case in cases("crashes.jsonl"):
        for step in case["steps"]:
            answer = send_http(server.http, step["req"])
            assert 400 <= answer["status"] < 600 and answer["json"]["error"], (case["id"], answer)
    assert send_http(server.http, {"method": "GET", "path": "/v2/health/live"})["status"] == 200


def test_load_errors(tmp_path):
    selected, repository = cases("loads.jsonl"), tmp_path / "repository"
    member = next(c for c in selected if c["id"] == "no_version_dir")["files"]
    write_model(repository, "good_member", member)
    for case in selected:
        write_model(repository, case["id"], case["files"])
        if not any("/" in path for path in case["files"]) or not any(p.startswith("1/") for p in case["files"]):
            (repository / case["id"] / "1").rmdir()
    server, score = Server(tmp_path, f"--model-repository={repository}", "--model-control-mode=explicit", "--load-model=good_member", "--v2-auth=open").start(), Score()
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
    reached(score, exact=24, loose=31)


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
                                   stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "XDG_STATE_HOME": str(folder)})

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
    member = next(c for c in cases("loads.jsonl") if c["id"] == "no_version_dir")["files"]
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

"""The same model.py files behind Nereid and behind a real Triton: CPU a request, latency, throughput; over HTTP and gRPC. And how far a
worker's round trip is from a bare futex ping-pong, and a megabyte through a model from a bare TCP echo."""
import argparse
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import requests

import measure
from support.server import BINARY, BUILD, ROOT, Child, Server

MEGABYTE = 262144  # FP32 elements
IDENTITY = """import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", pb_utils.get_input_tensor_by_name(r, "INPUT0").as_numpy())])
                for r in requests]
"""
ADD_SUB = """import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            a = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
            b = pb_utils.get_input_tensor_by_name(request, "INPUT1").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", a + b), pb_utils.Tensor("OUTPUT1", a - b)]))
        return responses
"""
# model -> model.py, what config.pbtxt adds, inputs, outputs, whether it batches
MODELS = {
    "identity": (IDENTITY, "max_batch_size: 64\ndynamic_batching { }\n", ["INPUT0"], ["OUTPUT0"], True),
    "add_sub": (ADD_SUB, "max_batch_size: 0\n", ["INPUT0", "INPUT1"], ["OUTPUT0", "OUTPUT1"], False),
}
WORKLOADS = {  # model, elements of each input
    "identity, 16 values, batched": ("identity", 16),
    "add_sub, 16 values, not batched": ("add_sub", 16),
    "identity, 1 MB": ("identity", MEGABYTE),
}


def write_models(repository):
    for name, (code, config, inputs, outputs, _) in MODELS.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "1" / "model.py").write_text(code)
        tensors = "".join(f'{kind} [ {", ".join(f"{{ name: {json.dumps(n)} data_type: TYPE_FP32 dims: [ -1 ] }}" for n in names)} ]\n'
                          for kind, names in (("input", inputs), ("output", outputs)))
        (repository / name / "config.pbtxt").write_text(
            f'name: "{name}"\nbackend: "python"\n{config}{tensors}instance_group [ {{ kind: KIND_CPU count: 1 }} ]\n')


def http_body(model, elements):
    """(length of the JSON part, body): binary tensors both ways"""
    _, _, inputs, outputs, batched = MODELS[model]
    data = struct.pack(f"<{elements}f", *map(float, range(elements)))
    shape = [1, elements] if batched else [elements]
    head = json.dumps({"inputs": [{"name": n, "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": len(data)}} for n in inputs],
                       "outputs": [{"name": n, "parameters": {"binary_data": True}} for n in outputs]}).encode()
    return len(head), head + data * len(inputs)


def check_answers(servers):
    """a server that answers quickly with nothing is no peer"""
    for workload, (model, elements) in WORKLOADS.items():
        length, body = http_body(model, elements)
        data = [float(i) for i in range(elements)]
        right = {"identity": data, "add_sub": [2 * x for x in data] + [0.0] * elements}[model]
        for name, server in servers.items():
            answer = requests.post(f"http://{server.http}/v2/models/{model}/infer", data=body, timeout=60,
                                   headers={"Inference-Header-Content-Length": str(length)})
            got = answer.content[int(answer.headers.get("Inference-Header-Content-Length", len(answer.content))):]
            if answer.status_code != 200 or got != struct.pack(f"<{len(right)}f", *right):
                sys.exit(f"{name} answers {workload} wrongly: {answer.status_code} {answer.content[:300]}")


class Triton(Child):
    def __init__(self, folder, repository):
        http, grpc, metrics = (measure.free_port() for _ in range(3))
        self.http, self.grpc = f"127.0.0.1:{http}", f"127.0.0.1:{grpc}"
        super().__init__([f"{folder}/tritonserver", f"--model-repository={repository}", f"--http-port={http}", f"--grpc-port={grpc}",
                          f"--metrics-port={metrics}", *(f"--{each}-address=127.0.0.1" for each in ("http", "grpc", "metrics")),
                          "--log-info=false"])

    def start(self):
        self.spawn()
        for _ in range(300):
            try:
                if requests.get(f"http://{self.http}/v2/health/ready", timeout=5).status_code == 200:
                    return self
            except requests.ConnectionError:
                pass
            if not self.alive():
                sys.exit("Triton ended:\n" + self.output())
            time.sleep(0.1)
        sys.exit("Triton does not start")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2)
    options.add_argument("--connections", default="1,16,64")
    options.add_argument("--only", default="", help="a part of the rows' names")
    options = options.parse_args()
    connections = [int(c) for c in options.connections.split(",")]
    folder = pathlib.Path(tempfile.mkdtemp())
    repository = folder / "models"
    write_models(repository)
    peer = subprocess.run([f"{ROOT}/tools/setup/triton.sh"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    # Both run the models on the same Python and NumPy.
    nereid = Server(folder, f"--model-repository={repository}", "--v2-auth=open",
                    f"--backend-config=python,executable={peer}/venv/bin/python").start()
    servers = {"Triton": Triton(peer, repository).start(), "Nereid": nereid}
    check_answers(servers)

    def http(server, model, elements, count):
        length, body = http_body(model, elements)
        (folder / "body").write_bytes(body)
        return [BINARY, "bench", f"http://{server.http}/v2/models/{model}/infer", "-c", str(count), "-d", str(options.seconds), "--warm-up", "0",
                "--json", "--body-file", str(folder / "body"), "-H", f"Inference-Header-Content-Length: {length}",
                "-H", "Content-Type: application/octet-stream"]

    def grpc(server, model, elements, count):
        return [f"{BUILD}/grpc_load", server.grpc.rpartition(":")[2], model, "--inputs", ",".join(MODELS[model][2]), "--elements", str(elements), "-c", str(count),
                "-d", str(options.seconds), *(["--batched"] if MODELS[model][4] else [])]

    def run(server, command):
        before = measure.cpu_seconds(server.pid)
        seen = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        cpu = measure.cpu_seconds(server.pid) - before
        if seen["errors"]:
            sys.exit(f"{command}: {seen['errors']}")
        return {"rps": seen["rps"], "p50": seen["p50_ms"], "p99": seen["p99_ms"], "cpu_us": cpu * 1e6 / seen["requests"]}

    def echo(count):
        seen = subprocess.run([f"{BUILD}/tcp_echo", str(count), str(MEGABYTE * 4), str(options.seconds)], check=True, stdout=subprocess.PIPE,
                              text=True).stdout
        return {"rps": json.loads(seen)["rps"], "p50": 0.0, "p99": 0.0, "cpu_us": 0.0}

    runs = {}
    for count in connections:
        runs["echo", count, "", ""] = lambda count=count: echo(count)
        for protocol, command in (("HTTP", http), ("gRPC", grpc)):
            for workload, (model, elements) in WORKLOADS.items():
                for name, server in servers.items():
                    runs[workload, count, protocol, name] = lambda s=server, c=command, m=model, e=elements, n=count: run(s, c(s, m, e, n))
        if count == 1:
            health = [BINARY, "bench", f"http://{nereid.http}/v2/health/live", "-c", "1", "-d", str(options.seconds), "--warm-up", "0", "--json"]
            runs["health check", 1, "HTTP", "Nereid"] = lambda: run(nereid, health)
    runs = {key: one for key, one in runs.items() if key[0] == "echo" or options.only in f"{key[0]}, {key[2]}, c={key[1]}"}
    if not any("1 MB" in key[0] for key in runs):
        runs = {key: one for key, one in runs.items() if key[0] != "echo"}
    for one in runs.values():  # warm
        one()
    seen = measure.interleaved(options.rounds, list(runs), lambda key: runs[key]())
    for server in servers.values():
        server.signal(15)
        server.wait(60)
    shutil.rmtree(folder)

    print(f"\n{measure.machine()}; {options.rounds} rounds of {options.seconds} s, medians, Nereid / Triton\n")
    rows = []
    for workload in WORKLOADS:
        for protocol in ("HTTP", "gRPC"):
            for count in connections:
                if (workload, count, protocol, "Nereid") not in seen:
                    continue
                n, t = (seen[workload, count, protocol, name] for name in ("Nereid", "Triton"))
                floor = seen[("echo", count, "", "")]["rps"] if "MB" in workload else 0
                rows.append([workload, protocol, count, f"{n['cpu_us']:.0f} / {t['cpu_us']:.0f}", n["cpu_us"] / t["cpu_us"],
                             f"{n['p50']:.2f} / {t['p50']:.2f}", f"{n['p99']:.2f} / {t['p99']:.2f}", n["p99"] / t["p99"],
                             f"{n['rps']:.0f} / {t['rps']:.0f}", n["rps"] / t["rps"], f"{n['rps'] / floor:.0%} of {floor:.0f}" if floor else ""])
    measure.table(["", "", "c", "CPU us/request", "ratio", "p50 ms", "p99 ms", "ratio", "requests/s", "ratio", "share of a bare TCP echo"], rows)

    if not options.only or "round trip" in options.only:
        # Where the kernel puts two processes that wake each other decides most of it: on one core, on two, or as it likes.
        trips, cpu = [], {}
        for where, prefix, apart in (("on two cores", [], ["apart"]), ("all on one core", ["taskset", "-c", "0"], []),
                                     ("as the kernel places them", [], [])):
            trip = json.loads(subprocess.run([*prefix, f"{BUILD}/python_round_trip", sys.executable, str(options.rounds), *apart], check=True,
                                             stdout=subprocess.PIPE, text=True).stdout)
            cpu[where] = trip["tight"]["futex_cpu"]
            trips += [[f"{gap.replace('_', ' ')}, {where}", each["futex"], each["worker"], each["worker"] / each["futex"]]
                      for gap, each in trip.items()]
        measure.table(["round trip", "bare futex us", "worker us", "ratio"], trips)
        if floor := seen.get(("health check", 1, "HTTP", "Nereid")):
            print(f"\nOne client cannot cost less than a health check, {floor['cpu_us']:.0f} us of CPU, and a bare round trip between two processes "
                  f"on two cores, {cpu['on two cores']:.0f} us.")


if __name__ == "__main__":
    main()

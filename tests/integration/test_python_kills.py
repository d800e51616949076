"""Workers are killed at random under load: every request is answered, nothing is left behind, and the server goes on."""
import http.client
import json
import os
import random
import signal
import struct
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from support.processes import descriptors, workers
from support.python_models import PYTHON, infer, tensor, values, write_model

KILLS = int(os.environ.get("NEREID_KILLS", "40"))
INT_IN, INT_OUT = ("IN", "INT32", [-1]), ("OUT", "INT32", [-1])
WORKERS = 7
SIGNALS = [signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM]
ECHO = """
    class TritonPythonModel:
        def execute(self, requests):
            return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", pb_utils.get_input_tensor_by_name(r, "IN").as_numpy())]) for r in requests]
"""
STREAM = """
    import threading

    class TritonPythonModel:
        def execute(self, requests):
            for request in requests:
                threading.Thread(target=self.answer, args=(request, request.get_response_sender())).start()

        def answer(self, request, sender):
            for value in request.inputs()[0].as_numpy():
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([value], np.int32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
ASKS = """
    class TritonPythonModel:
        def execute(self, requests):
            out = []
            for r in requests:
                answer = pb_utils.InferenceRequest(model_name="direct", requested_output_names=["OUT"],
                                                   inputs=[pb_utils.Tensor("IN", r.inputs()[0].as_numpy())]).exec()
                out.append(pb_utils.InferenceResponse(error=answer.error()) if answer.has_error() else
                           pb_utils.InferenceResponse([pb_utils.get_output_tensor_by_name(answer, "OUT")]))
            return out
"""


class Client(threading.Thread):
    """Asks one model again and again over one connection, and looks at each answer."""

    def __init__(self, address, model, stop, seed):
        super().__init__()
        self.address, self.model, self.stop, self.random = address, model, stop, random.Random(seed)
        self.right, self.failed, self.wrong = 0, {}, []

    def run(self):
        connection = http.client.HTTPConnection(self.address, timeout=120)
        while not self.stop.is_set():
            try:
                self.ask(connection)
            except Exception as problem:  # a request without an answer
                self.wrong.append(repr(problem))
                return
        connection.close()

    def ask(self, connection):
        count = self.random.choice([1, 16, 4000, 70000]) if self.model != "stream" else 20
        data = [self.random.randrange(1 << 30)] * count
        if self.model == "stream":
            connection.request("POST", "/v2/models/stream/generate_stream", json.dumps({"IN": data}))
            answer = connection.getresponse()
            events = [json.loads(e.removeprefix("data: ")) for e in answer.read().decode().split("\n\n") if e.strip()] \
                if answer.headers["Content-Type"].startswith("text/event-stream") else [json.loads(answer.read())]
            errors = [e["error"] for e in events if "error" in e]
            got = [e["OUT"] for e in events if "OUT" in e]
            if errors:
                return self.refused(answer.status, errors[0])
            assert got == data, (answer.status, len(got))
        else:
            raw = struct.pack(f"<{count}i", *data)
            head = json.dumps({"inputs": [{"name": "IN", "datatype": "INT32", "shape": [1, count] if self.model == "batched" else [count],
                                           "parameters": {"binary_data_size": len(raw)}}],
                               "parameters": {"binary_data_output": True}}).encode()
            connection.request("POST", f"/v2/models/{self.model}/infer", head + raw, {"Inference-Header-Content-Length": str(len(head))})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                return self.refused(answer.status, json.loads(body)["error"])
            assert body.endswith(raw), "other bytes came back"
        self.right += 1

    def refused(self, status, text):
        known = ("was killed by SIG" in text or "is not healthy" in text or "is not ready" in text) and ("_0" in text or "Model '" in text)
        if known and status in (200, 400, 500, 503):
            self.failed[status] = self.failed.get(status, 0) + 1
        else:
            self.wrong.append(f"{status} {text}")


class GrpcClient(Client):
    """The same over gRPC."""

    def run(self):
        try:
            with grpcclient.InferenceServerClient(self.address) as client:
                while not self.stop.is_set():
                    self.ask(client)
        except Exception as problem:
            self.wrong.append(repr(problem))

    def ask(self, client):
        count = self.random.choice([1, 16, 4000, 70000])
        data = np.full([1, count] if self.model == "batched" else [count], self.random.randrange(1 << 30), np.int32)
        given = grpcclient.InferInput("IN", list(data.shape), "INT32").set_data_from_numpy(data)
        try:
            answer = client.infer(self.model, [given], client_timeout=120)
        except grpcclient.InferenceServerException as error:
            return self.refused({"StatusCode.INTERNAL": 500, "StatusCode.UNAVAILABLE": 503}.get(error.status()), error.message())
        assert np.array_equal(answer.as_numpy("OUT"), data), "other values came back"
        self.right += 1


@pytest.mark.smoke
@pytest.mark.timeout(60 + 8 * KILLS)
def test_workers_killed_at_random_cost_their_requests_and_nothing_else(start_server, tmp_path):
    repository, seed = tmp_path / "models", int(os.environ.get("NEREID_SEED", time.time_ns() % 10**6))
    print("seed", seed)
    two = "instance_group [ { count: 2 kind: KIND_CPU } ]\n"
    write_model(repository, "direct", ECHO, [INT_IN], [INT_OUT], two)
    # One instance: large inputs are received in its memory.
    write_model(repository, "batched", ECHO, [INT_IN], [INT_OUT], "max_batch_size: 8\ndynamic_batching { max_queue_delay_microseconds: 200 }\n")
    write_model(repository, "stream", STREAM, [INT_IN], [INT_OUT], "model_transaction_policy { decoupled: true }\n" + two)
    write_model(repository, "asks", ASKS, [INT_IN], [INT_OUT], two)
    server = start_server(f"--model-repository={repository}", "--v2-auth=open", PYTHON)
    models = ["direct", "batched", "stream", "asks"]
    for model in models:
        shape = [1, 1] if model == "batched" else [1]
        if model != "stream":
            assert values(infer(server, model, tensor("IN", "INT32", shape, [3])))["OUT"] == [3]
    before, shared = descriptors(server.pid), set(os.listdir("/dev/shm"))

    stop, chance = threading.Event(), random.Random(seed)
    clients = [Client(server.http, model, stop, seed + i) for i, model in enumerate(models * 3)]
    clients += [GrpcClient(server.grpc, model, stop, seed - i) for i, model in enumerate(["direct", "batched"])]
    for client in clients:
        client.start()
    killed = 0
    while killed < KILLS and server.alive():
        # Each worker at its own rate, mostly less than the three deaths in 10 s after which it is given a pause: workers that serve are
        # to be killed, not those few that are about to start.
        alive, number = workers(server.pid), chance.randrange(WORKERS)
        if number < len(alive):
            try:
                os.kill(alive[number], chance.choice(SIGNALS))
                killed += 1
            except ProcessLookupError:
                pass
        stop.wait(chance.uniform(0.1, 1.0))
    stop.set()
    for client in clients:
        client.join(150)
    assert server.alive(), server.evidence()
    assert not [client for client in clients if client.is_alive()], "a request has no answer"
    assert not [w for client in clients for w in client.wrong], [client.wrong for client in clients]
    right = {model: sum(c.right for c in clients if c.model == model) for model in models}
    failed = {model: [c.failed for c in clients if c.model == model] for model in models}
    print(f"{killed} kills; answered {right}, failed {failed}")
    assert all(right.values())

    # All come back, with as many processes, descriptors and shared objects as before.
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if len(workers(server.pid)) == WORKERS and server.get("/v2/health/ready").status_code == 200 and len(descriptors(server.pid)) <= len(before):
            break
        time.sleep(0.1)
    assert len(workers(server.pid)) == WORKERS
    after = descriptors(server.pid)
    assert [d for d in set(after) if after.count(d) > before.count(d) and "socket" not in d] == [], (before, after)
    assert set(os.listdir("/dev/shm")) <= shared
    for model in ("direct", "batched", "asks"):
        assert values(infer(server, model, tensor("IN", "INT32", [1, 1] if model == "batched" else [1], [3])))["OUT"] == [3]
    pids = workers(server.pid)
    server.stop()
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]

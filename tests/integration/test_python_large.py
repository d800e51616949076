"""Large tensors on their way into Python models: they are received where the worker reads them, and are nobody else's there."""
import json
import os
import queue
import signal
import threading

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient

from support.processes import workers
from support.python_models import PYTHON, eventually, infer, pending, tensor, values, write_model
from support.raw_http import connect, read_answer

pytestmark = pytest.mark.smoke

# Adds one to its input where it lies, and answers that; says where its inputs lay; remembers the first of its inputs.
MODEL = """
    import hashlib
    import json
    import os
    import time

    class TritonPythonModel:
        kept = []

        def execute(self, requests):
            responses = []
            for request in requests:
                parameters = json.loads(request.parameters() or "{}")
                if "wait" in parameters:
                    pb_utils.Logger.log_info("about to wait")
                while "wait" in parameters and not os.path.exists(parameters["wait"]):
                    time.sleep(0.002)
                arrays = [each.as_numpy() for each in request.inputs()]
                if parameters.get("keep"):
                    self.kept.append((arrays[0], hashlib.sha256(arrays[0]).hexdigest()))
                if parameters.get("drop"):
                    self.kept.clear()
                wrong = sum(hashlib.sha256(array).hexdigest() != digest for array, digest in self.kept)
                where = np.array([array.ctypes.data for array in arrays] + [wrong], np.uint64)
                if not parameters.get("keep"):
                    for array in arrays:
                        array += 1
                responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.concatenate(arrays)), pb_utils.Tensor("WHERE", where)]))
            return responses
"""
INPUTS = [("A", "UINT8", [-1]), ("B", "UINT8", [-1], "optional: true")]
OUTPUTS = [("OUT", "UINT8", [-1]), ("WHERE", "UINT64", [-1])]


@pytest.fixture
def server(tmp_path, start_server):
    write_model(tmp_path / "models", "m", MODEL, INPUTS, OUTPUTS)
    return start_server(f"--model-repository={tmp_path}/models", "--v2-auth=open", "--model-control-mode=explicit", "--load-model=m", PYTHON)


def random_bytes(seed, size):
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def ask(module, client, arrays, **parameters):
    inputs = []
    for name, array in zip("AB", arrays):
        inputs.append(module.InferInput(name, list(array.shape), "UINT8"))
        inputs[-1].set_data_from_numpy(array)
    answer = client.infer("m", inputs, parameters=parameters or None)
    return answer.as_numpy("OUT"), answer.as_numpy("WHERE")


def clients(server):
    return [(httpclient, httpclient.InferenceServerClient(server.http, connection_timeout=60, network_timeout=60)),
            (grpcclient, grpcclient.InferenceServerClient(server.grpc))]


def test_large_inputs_are_not_copied_on_their_way_in(server):
    a, b = random_bytes(1, 300_001), random_bytes(2, 200_000)
    aligned = (len(a) + 63) // 64 * 64
    for module, client in clients(server):
        for _ in range(3):
            out, (at_a, at_b, _) = ask(module, client, [a, b])
            assert (out == np.concatenate([a + 1, b + 1])).all()
            # The one body over HTTP as it came; over gRPC each in a block of its own. A copy would have put them one after another.
            if module is httpclient:
                assert at_a % 64 == 0 and at_b - at_a == len(a)
            else:
                assert at_a % 64 == 0 and at_b % 64 == 0 and at_b - at_a != aligned
        small, (at_a, at_b, _) = ask(module, client, [a[:1001], b[:1000]])
        assert at_b - at_a == 1024 and (small[:1001] == a[:1001] + 1).all()


def test_what_a_model_keeps_stays_as_it_was(server):
    for module, client in clients(server):
        for i in range(4):
            array = random_bytes(i, 500_000 + i)
            out, _ = ask(module, client, [array], keep=True)
            assert (out == array).all()
    for i in range(20):
        for module, client in clients(server):
            array = random_bytes(i, 700_000)
            out, where = ask(module, client, [array])
            assert (out == array + 1).all() and where[-1] == 0
    assert ask(*clients(server)[0], [random_bytes(0, 100_000)], drop=True)[1][-1] == 0


def test_many_clients_get_each_their_own(server):
    failures = queue.Queue()

    def one(number):
        try:
            module, client = clients(server)[number % 2]
            for i in range(15):
                arrays = [random_bytes(100 * number + i, 65_536 + 9973 * ((number + i) % 40)) for _ in range(1 + i % 2)]
                out, _ = ask(module, client, arrays)
                assert (out == np.concatenate(arrays) + 1).all(), (number, i)
        except BaseException as failure:
            failures.put(failure)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures.empty(), failures.get()


def test_a_stream_of_large_requests(server):
    answers = queue.Queue()
    client = grpcclient.InferenceServerClient(server.grpc)
    client.start_stream(lambda result, error: answers.put((result, error)))
    arrays = [random_bytes(i, 400_000 + i) for i in range(12)]
    for array in arrays:
        given = grpcclient.InferInput("A", list(array.shape), "UINT8")
        given.set_data_from_numpy(array)
        client.async_stream_infer("m", [given])
    for array in arrays:
        result, failure = answers.get(timeout=60)
        assert failure is None, failure
        assert (result.as_numpy("OUT") == array + 1).all()
    client.stop_stream()


def begun(server, data, **parameters):
    """a connection on which a request is on its way but for its last bytes, and those"""
    head = json.dumps({"parameters": parameters, "outputs": [{"name": "OUT", "parameters": {"binary_data": True}}],
                       "inputs": [{"name": "A", "shape": [len(data)], "datatype": "UINT8", "parameters": {"binary_data_size": len(data)}}]})
    request = (f"POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\nContent-Length: {len(head) + len(data)}\r\n"
               f"Inference-Header-Content-Length: {len(head)}\r\n\r\n{head}").encode() + data.tobytes()
    connection = connect(server.http, 60)
    connection.sendall(request[:-1000])
    return connection, request[-1000:]


def answered(connection):
    status, headers, body = read_answer(connection)
    return status, body[int(headers.get("inference-header-content-length", 0)):]


def test_a_body_that_is_on_its_way_when_the_worker_dies_reaches_the_next_worker(server):
    data = random_bytes(5, 1_000_000)
    connection, rest = begun(server, data)
    (worker,) = workers(server.pid)
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: workers(server.pid) not in ([], [worker]))
    connection.sendall(rest)
    status, body = answered(connection)
    assert status == 200 and body == (data + 1).tobytes()


def test_requests_that_a_dead_worker_had_not_begun_are_executed_by_the_next(server, tmp_path):
    data = [random_bytes(i, 1_000_000 + i) for i in range(4)]
    connections = []
    for i, each in enumerate(data):
        connection, rest = begun(server, each, **({"wait": str(tmp_path / "go")} if i == 0 else {}))
        connection.sendall(rest)
        connections.append(connection)
        if i == 0:
            server.wait_for_line("about to wait")
    eventually(lambda: pending(server, "m") >= 2)  # one of the three that wait is with the worker already
    os.kill(workers(server.pid)[0], signal.SIGKILL)
    assert answered(connections[0])[0] == 500
    for each, connection in zip(data[1:], connections[1:]):
        status, body = answered(connection)
        assert status == 200 and body == (each + 1).tobytes()


def test_a_body_that_is_on_its_way_when_its_model_is_unloaded(server):
    connection, rest = begun(server, random_bytes(6, 1_000_000))
    assert server.post("/v2/repository/models/m/unload").status_code == 200
    connection.sendall(rest)
    assert answered(connection)[0] in (400, 404)
    assert server.post("/v2/repository/models/m/load").status_code == 200
    assert values(infer(server, "m", tensor("A", "UINT8", [2], [1, 2])))["OUT"] == [2, 3]


def test_clients_that_leave_midway_leave_nothing_behind(server):
    for _ in range(40):
        connection, _ = begun(server, random_bytes(7, 900_000))
        connection.close()
    data = random_bytes(8, 30_000_000)
    for module, client in clients(server):
        out, _ = ask(module, client, [data])
        assert (out == data + 1).all()


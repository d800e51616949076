"""A model that computes for minutes: others are served beside it, its own queue keeps its timeouts, and the server ends without it."""
import concurrent.futures
import signal

import numpy as np
import onnx
import pytest
import requests
from onnx import TensorProto, helper

from integration.test_onnx import save
from support.server import Server

pytestmark = pytest.mark.smoke

FOR_EVER = 1e7  # of the loop's turns: minutes
QUEUE = "dynamic_batching { default_queue_policy { timeout_action: REJECT default_timeout_microseconds: 200000 } }\n"


def add_loop(repository, name, config):
    """y = x, after as many matrix products as the largest x says."""
    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("MatMul", ["s", "s"], ["next"])], "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("s", TensorProto.FLOAT, [128, 128])],
        [value("goes", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, [128, 128])])
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0), helper.make_node("Cast", ["most"], ["turns"], to=TensorProto.INT64),
        helper.make_node("Loop", ["turns", "true", "zeros"], ["end"], body=body), helper.make_node("ReduceSum", ["end"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"])]
    save(repository, name, nodes, [("x", TensorProto.FLOAT, ["n", 1])], [("y", TensorProto.FLOAT, ["n", 1])], config,
         [onnx.numpy_helper.from_array(np.array(True), "true"), onnx.numpy_helper.from_array(np.zeros((128, 128), np.float32), "zeros")])


def infer(server, model, turns):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [turns]}
    return server.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]})


@pytest.fixture
def server(tmp_path):
    repository = tmp_path / "models"
    repository.mkdir()
    add_loop(repository, "one", 'backend: "onnxruntime"\nmax_batch_size: 1\ninstance_group [ { count: 1 kind: KIND_CPU } ]\n' + QUEUE)
    add_loop(repository, "two", 'backend: "onnxruntime"\nmax_batch_size: 1\ninstance_group [ { count: 2 kind: KIND_CPU } ]\n')
    server = Server(tmp_path / "server", f"--model-repository={repository}", "--model-control-mode=explicit", "--load-model=*",
                    "--allow-grpc=false", "--exit-timeout-secs=1", "--v2-auth=open").start()
    yield server
    server.stop()


def test_others_are_served_beside_a_long_run_and_the_exit_does_not_wait_for_it(server):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        long = [pool.submit(infer, server, model, FOR_EVER) for model in ("one", "two")]
        # Once its only instance is taken, the queue's own timeout answers.
        while (late := infer(server, "one", 5)).status_code == 200:
            pass
        assert (late.status_code, late.json()) == (503, {"error": "Request timeout expired"})
        # The other instance of the same model, and beside both.
        assert infer(server, "two", 5).json()["outputs"][0]["data"] == [5.0]
        unloaded = server.post("/v2/repository/models/two/unload", json={})
        assert unloaded.status_code == 200
        states = {(entry["name"], entry.get("state")) for entry in server.post("/v2/repository/index", json={}).json()}
        assert ("two", "UNLOADING") in states
        server.signal(signal.SIGTERM)
        code = server.wait(30)
        assert code == 1, server.evidence()
        for run in long:
            assert isinstance(run.exception(30), requests.ConnectionError) or run.result().status_code >= 400, run.result().text
    assert "Exit timeout expired" in server.output()

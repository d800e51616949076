"""ONNX execution on tiny models made here: batches across requests, strings, reshapes, and what a model does not take."""
import concurrent.futures

import numpy as np
import onnx
import pytest
import requests
import tritonclient.http as http_client
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.smoke


def save(repository, name, nodes, inputs, outputs, config, initializers=()):
    def value(each):
        return helper.make_tensor_value_info(*each)

    graph = helper.make_graph(nodes, name, [value(i) for i in inputs], [value(o) for o in outputs], list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    (repository / name / "config.pbtxt").write_text(config)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from support.server import Server

    repository = tmp_path_factory.mktemp("models")
    # Slow enough (a few matrix products) that requests meet in the queue.
    weights = np.random.default_rng(1).standard_normal((512, 512)).astype(np.float32) / 40
    slow, last = [], "x"
    for i in range(6):
        slow += [helper.make_node("MatMul", [last, "w"], [f"m{i}"]), helper.make_node("Tanh", [f"m{i}"], [f"t{i}"])]
        last = f"t{i}"
    nodes = [
        helper.make_node("MatMul", ["input", "up"], ["x"]), *slow, helper.make_node("MatMul", [last, "down"], ["zeros"]),
        helper.make_node("Mul", ["input", "two"], ["double"]), helper.make_node("Add", ["double", "zeros"], ["output"])]
    tensors = [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.ones((4, 512), np.float32), "up"),
               onnx.numpy_helper.from_array(np.zeros((512, 4), np.float32), "down"), onnx.numpy_helper.from_array(np.float32(2), "two")]
    for name, extra in (("doubler", ""), ("alone", "instance_group [ { count: 1 kind: KIND_CPU } ]\n")):
        save(repository, name, nodes, [("input", TensorProto.FLOAT, ["n", 4])], [("output", TensorProto.FLOAT, ["n", 4])],
             'backend: "onnxruntime"\nmax_batch_size: 32\ndynamic_batching { max_queue_delay_microseconds: 2000 }\n' + extra, tensors)
    save(repository, "words", [helper.make_node("Identity", ["text"], ["same"])], [("text", TensorProto.STRING, ["n", 2])],
         [("same", TensorProto.STRING, ["n", 2])], 'backend: "onnxruntime"\nmax_batch_size: 8\ndynamic_batching { }\n')
    save(repository, "flat", [helper.make_node("Neg", ["x"], ["y"])], [("x", TensorProto.FLOAT, ["n"])], [("y", TensorProto.FLOAT, ["n"])],
         'backend: "onnxruntime"\nmax_batch_size: 8\ninput [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } } ]\n'
         'output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } } ]\n')
    server = Server(tmp_path_factory.mktemp("server"), f"--model-repository={repository}", "--allow-grpc=false").start()
    yield server
    server.stop()


def infer(server, model, name, data, datatype="FP32", binary=True):
    with http_client.InferenceServerClient(server.http) as client:
        tensor = http_client.InferInput(name, list(data.shape), datatype)
        tensor.set_data_from_numpy(data, binary_data=binary)
        result = client.infer(model, [tensor])
        return result.as_numpy(result.get_response()["outputs"][0]["name"])


@pytest.mark.parametrize("model", ["doubler", "alone"])
def test_each_request_of_a_batch_gets_its_own_rows(server, model):
    def one(i):
        rows = 1 + i % 5
        data = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) + 1000 * i
        return np.array_equal(infer(server, model, "input", data), 2 * data)

    before = server.get(f"/v2/models/{model}/stats").json()["model_stats"][0]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        assert all(pool.map(one, range(320)))
    after = server.get(f"/v2/models/{model}/stats").json()["model_stats"][0]
    inferences = after["inference_count"] - before["inference_count"]
    executions = after["execution_count"] - before["execution_count"]
    assert inferences == sum(1 + i % 5 for i in range(320))
    assert executions < 320, "no two requests shared a batch"
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 320


@pytest.mark.parametrize("binary", [True, False])
def test_strings_keep_their_bytes_also_in_batches(server, binary):
    words = np.array([[b"", "gr\u00fc\u00df \U0001f600".encode()], [b"a" * 5000, b"\"\\\n"]], dtype=np.object_)

    def one(i):
        mine = words.copy()
        mine[0][0] = str(i).encode()
        return np.array_equal(infer(server, "words", "text", mine, "BYTES", binary), mine)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(64)))


def test_a_reshape_to_no_dims_is_undone_in_the_answer(server):
    data = np.array([[1.5], [-2.0], [0.25]], dtype=np.float32)
    assert np.array_equal(infer(server, "flat", "x", data), -data)


@pytest.mark.parametrize("data, datatype, text", [
    (np.zeros((1, 5), np.float32), "FP32", "unexpected shape for input 'input' for model 'doubler'"),
    (np.zeros((33, 4), np.float32), "FP32", "batch-size must be <= 32 for 'doubler'"),
    (np.zeros((1, 4), np.int32), "INT32", "data-type"),
])
def test_what_the_model_does_not_take_is_refused_with_its_name(server, data, datatype, text):
    with pytest.raises(InferenceServerException) as refused:
        infer(server, "doubler", "input", data, datatype)
    assert text in refused.value.message()


def test_both_answers_of_a_class_request_and_raw_agree(server):
    data = np.array([[0.5, 3, -1, 2]], dtype=np.float32)
    body = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 4], "data": data.reshape(-1).tolist()}],
            "outputs": [{"name": "output", "parameters": {"classification": 2}}]}
    answer = requests.post(f"{server.url}/v2/models/doubler/infer", json=body, timeout=60).json()["outputs"][0]
    assert [row.split(":")[:2] for row in answer["data"]] == [["6.000000", "1"], ["4.000000", "3"]]

"""Broken model folders and requests: a clear error that names the thing at fault, and the others keep serving."""
import json

import pytest

pytestmark = pytest.mark.smoke

ECHO = ('backend: "identity" max_batch_size: 8\ninput [ {{ name: "INPUT0" data_type: {type} dims: [ 4 ] }} ]\n'
        'output [ {{ name: "OUTPUT0" data_type: {type} dims: [ 4 ] }} ]\n')


def add_model(repository, name, config, files=None):
    (repository / name / "1").mkdir(parents=True)
    if config is not None:
        (repository / name / "config.pbtxt").write_text(config)
    for path, content in (files or {}).items():
        (repository / name / path).write_bytes(content)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from support.server import Server

    folder = tmp_path_factory.mktemp("bad")
    repository = folder / "repository"
    add_model(repository, "good", ECHO.format(type="TYPE_FP32"))
    add_model(repository, "broken_config", 'backend: "identity" max_batch_size: }\n')
    add_model(repository, "unknown_field", 'backend: "identity" maximum_batch_size: 4\n')
    add_model(repository, "broken_onnx", None, {"1/model.onnx": b"\x08\x07garbage that is no model"})
    add_model(repository, "empty_onnx", None, {"1/model.onnx": b""})
    add_model(repository, "broken_gguf", None, {"1/model.gguf": b"GGUF\x03\x00\x00\x00" + b"\xff" * 64})
    add_model(repository, "short_gguf", None, {"1/model.gguf": b"GGUF"})
    add_model(repository, "no_backend", 'backend: "nonexistent"\ninput [ { name: "A" data_type: TYPE_FP32 dims: [ 1 ] } ]\noutput [ { name: "B" data_type: TYPE_FP32 dims: [ 1 ] } ]\n')
    server = Server(folder, f"--model-repository={repository}", "--model-control-mode=explicit", "--load-model=good", "--strict-readiness=false", "--v2-auth=open").start()
    server.repository = repository
    yield server
    assert server.alive()
    assert server.stop() == 0


def infer(server, model="good", **changes):
    tensor = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    tensor.update(changes)
    return server.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]})


@pytest.mark.parametrize("model", ["broken_config", "unknown_field", "broken_onnx", "empty_onnx", "broken_gguf", "short_gguf", "no_backend", "never_there"])
def test_a_model_that_cannot_load_is_named_and_the_others_serve(server, model):
    answer = server.post(f"/v2/repository/models/{model}/load")
    assert answer.status_code in (400, 500), answer.text
    assert model in answer.json()["error"]
    assert infer(server).status_code == 200


def test_the_reason_of_a_failed_load_is_in_the_index(server):
    server.post("/v2/repository/models/broken_onnx/load")
    entry = next(e for e in server.post("/v2/repository/index").json() if e["name"] == "broken_onnx")
    assert entry["state"] == "UNAVAILABLE" and "model.onnx" in entry["reason"]


@pytest.mark.parametrize("changes,named", [
    ({"name": "OTHER"}, "OTHER"),
    ({"datatype": "INT32"}, "INT32"),
    ({"datatype": "FP8"}, "INPUT0"),
    ({"shape": [1, 5], "data": [1, 2, 3, 4, 5]}, "[1,5]"),
    ({"shape": [9, 4], "data": [0] * 36}, "<= 8"),
    ({"shape": [1, 1 << 40]}, "INPUT0"),
    ({"shape": [9223372036854775807, 16]}, "INPUT0"),
    ({"shape": [1, -4]}, "shape"),
    ({"data": [1, 2]}, "shape"),
    ({"data": ["a", "b", "c", "d"]}, "data"),
])
def test_a_bad_tensor_is_refused_by_name(server, changes, named):
    answer = infer(server, **changes)
    assert answer.status_code in (400, 500), answer.text
    assert named in answer.json()["error"], answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"inputs": 1}', b'{"inputs": []}', b"{" * 100_000, b'{"inputs":' * 200, b"\xff\xfe", b'{"a": "\\ud800"}'])
def test_a_bad_body_is_an_error_in_the_dialect_of_the_api(server, body):
    answer = server.post("/v2/models/good/infer", data=body)
    assert answer.status_code in (400, 500) and "error" in answer.json()
    chat = server.post("/v1/chat/completions", data=body, headers=server.admin)
    assert chat.status_code == 400 and set(chat.json()["error"]) >= {"message", "type", "param", "code"}
    assert infer(server).status_code == 200


def test_an_unknown_model_is_named(server):
    answer = infer(server, model="nobody")
    assert answer.status_code == 404 and "nobody" in answer.json()["error"]
    chat = server.post("/v1/chat/completions", json={"model": "nobody", "messages": [{"role": "user", "content": "x"}]}, headers=server.admin)
    assert chat.status_code == 404 and "nobody" in chat.json()["error"]["message"] and chat.json()["error"]["code"] == "model_not_found"


def test_legacy_paths_name_the_right_one(server):
    for path in ("/chat/completions", "/v1/engines/x/completions", "/v1/v1/chat/completions"):
        answer = server.post(path, json={}, headers=server.admin)
        assert answer.status_code == 404, path
        assert "/v1/" in answer.json()["error"]["message"], path


def test_load_and_unload_under_explicit_control(server):
    add_model(server.repository, "second", ECHO.format(type="TYPE_INT32"))
    assert server.post("/v2/repository/models/second/load").status_code == 200
    data = {"inputs": [{"name": "INPUT0", "datatype": "INT32", "shape": [2, 4], "data": list(range(8))}]}
    assert server.post("/v2/models/second/infer", json=data).json()["outputs"][0]["data"] == list(range(8))
    assert server.post("/v2/repository/models/second/unload").status_code == 200
    assert server.post("/v2/models/second/infer", json=data).status_code in (400, 404, 503)
    assert infer(server).status_code == 200


def test_a_config_override_is_undone_by_the_next_load(server):
    config = {"backend": "identity", "max_batch_size": 2, "input": [{"name": "INPUT0", "data_type": "TYPE_FP32", "dims": [4]}], "output": [{"name": "OUTPUT0", "data_type": "TYPE_FP32", "dims": [4]}]}
    body = {"parameters": {"config": json.dumps(config)}}
    assert server.post("/v2/repository/models/good/load", json=body).status_code == 200
    assert server.get("/v2/models/good/config").json()["max_batch_size"] == 2
    assert server.post("/v2/repository/models/good/load").status_code == 200
    assert server.get("/v2/models/good/config").json()["max_batch_size"] == 8

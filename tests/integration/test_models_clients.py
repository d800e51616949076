"""The official clients against the demo models."""
import glob
import json
import os
import subprocess

import numpy as np
import openai
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client

from support.server import BINARY, ROOT


@pytest.fixture(scope="module")
def demo_server(demo_models, tmp_path_factory):
    from support.server import Server

    server = Server(tmp_path_factory.mktemp("demo_server"), f"--model-repository={demo_models}").start()
    yield server
    server.stop()


def magika_rows(count):
    files = sorted(glob.glob(os.path.join(ROOT, "src", "**", "*.cc"), recursive=True))[:count]
    rows = [json.loads(subprocess.run([BINARY, "demo", "magika", f], capture_output=True, text=True, check=True).stdout)["inputs"][0]["data"] for f in files]
    return np.array(rows, dtype=np.int32).reshape(count, 2048)


def label_of(value):
    return value.decode().split(":")[2]


def test_tritonclient_http_classifies_a_batch_of_8_files(demo_server):
    with http_client.InferenceServerClient(demo_server.http) as client:
        tensor = http_client.InferInput("bytes", [8, 2048], "INT32")
        tensor.set_data_from_numpy(magika_rows(8))
        output = http_client.InferRequestedOutput("target_label", class_count=1)
        result = client.infer("magika", [tensor], outputs=[output]).as_numpy("target_label")
        assert [label_of(v) for v in result.reshape(-1)] == ["cpp"] * 8


def test_tritonclient_grpc_gives_the_same_numbers_as_http(demo_server):
    rows = magika_rows(8)
    with grpc_client.InferenceServerClient(demo_server.grpc) as client, http_client.InferenceServerClient(demo_server.http) as over_http:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("magika")
        tensor = grpc_client.InferInput("bytes", [8, 2048], "INT32")
        tensor.set_data_from_numpy(rows)
        mine = client.infer("magika", [tensor]).as_numpy("target_label")
        other = http_client.InferInput("bytes", [8, 2048], "INT32")
        other.set_data_from_numpy(rows)
        theirs = over_http.infer("magika", [other]).as_numpy("target_label")
        assert mine.shape == (8, 214)
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
        metadata = client.get_model_metadata("magika")
        assert metadata.inputs[0].name == "bytes" and list(metadata.inputs[0].shape) == [-1, 2048]


def test_silero_and_ocr_models_were_completed_by_themselves(demo_server):
    with http_client.InferenceServerClient(demo_server.http) as client:
        for name in ("silero_vad", "ppocr_det", "ppocr_cls", "ppocr_rec"):
            assert client.is_model_ready(name), name
        config = client.get_model_config("silero_vad")
        assert {i["name"] for i in config["input"]} == {"input", "state", "sr"}
        tensors = [http_client.InferInput("input", [1, 576], "FP32"), http_client.InferInput("state", [2, 1, 128], "FP32"), http_client.InferInput("sr", [], "INT64")]
        tensors[0].set_data_from_numpy(np.zeros((1, 576), dtype=np.float32))
        tensors[1].set_data_from_numpy(np.zeros((2, 1, 128), dtype=np.float32))
        tensors[2].set_data_from_numpy(np.array(16000, dtype=np.int64))
        speech = client.infer("silero_vad", tensors).as_numpy("output")
        assert 0 <= float(speech.reshape(-1)[0]) < 0.5


def ask(server, **options):
    client = openai.OpenAI(base_url=server.url + "/v1", api_key=server.admin_key, max_retries=0)
    return client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "Name the capital of France."}], **options)


def test_openai_python_chats_and_streams_with_the_same_text_and_usage(demo_server):
    whole = ask(demo_server, temperature=0, max_tokens=24)
    assert "Paris" in whole.choices[0].message.content
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    text, usage, finish = "", None, None
    for chunk in ask(demo_server, temperature=0, max_tokens=24, stream=True, stream_options={"include_usage": True}):
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
        usage = chunk.usage or usage
    assert text == whole.choices[0].message.content
    assert usage == whole.usage and finish == whole.choices[0].finish_reason


def test_completions_and_the_catalogue_name_the_folder(demo_server):
    client = openai.OpenAI(base_url=demo_server.url + "/v1", api_key=demo_server.admin_key, max_retries=0)
    assert "smollm2" in [m.id for m in client.models.list()]
    assert client.models.retrieve("smollm2").object == "model"
    answer = client.completions.create(model="smollm2", prompt="Once upon a time", max_tokens=8, temperature=0)
    assert answer.choices[0].text and answer.usage.completion_tokens == 8 and answer.choices[0].finish_reason == "length"


def test_several_chats_are_decoded_together_and_each_gets_its_own_answer(demo_server):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(demo_server, temperature=0, max_tokens=16).choices[0].message.content, range(8)))
    assert len(set(answers)) == 1 and "Paris" in answers[0]


def test_openai_node_chats_and_streams(demo_server):
    node = os.environ["NEREID_NODE"]
    script = os.path.join(ROOT, "tests", "node", "chat.mjs")
    result = subprocess.run([os.path.join(node, "bin", "node"), script, demo_server.url + "/v1", demo_server.admin_key, "smollm2"], capture_output=True, text=True, timeout=120, env={**os.environ, "NODE_PATH": os.path.join(node, "node_modules")})
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["whole"] == answer["streamed"] and "Paris" in answer["whole"]


def test_a_text_model_on_v2_is_decoupled(demo_server):
    refused = demo_server.post("/v2/models/smollm2/infer", json={"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["hi"]}]})
    assert refused.status_code == 501
    stream = demo_server.post("/v2/models/smollm2/generate_stream", json={"text_input": "Once upon a time", "max_tokens": 8, "temperature": 0}, stream=True)
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in stream.iter_lines(decode_unicode=True) if line.startswith("data: ")]
    assert len(events) > 1 and "".join(e["text_output"] for e in events if "text_output" in e)

"""Writes models of the Python backend, and speaks with them."""
import json
import sys
import textwrap
import time

import requests

PYTHON = f"--backend-config=python,executable={sys.executable}"  # one that has NumPy

HEAD = "import numpy as np\nimport triton_python_backend_utils as pb_utils\n\n"


def io(kind, *tensors):
    return "".join(f'{kind} [ {{ name: "{name}" data_type: TYPE_{datatype} dims: {list(dims)} {more} }} ]\n'
                   for name, datatype, dims, *rest in tensors for more in [" ".join(rest)])


def write_model(repository, name, code, inputs=(), outputs=(), config="", version=1, file="model.py", write_config=True):
    """`code` is the body of model.py behind the two usual imports; tensors are (name, datatype, dims[, more])"""
    folder = repository / name / str(version)
    folder.mkdir(parents=True)
    (folder / file).write_text(HEAD + textwrap.dedent(code))
    if write_config:
        text = f'name: "{name}"\nbackend: "python"\n' + config + io("input", *inputs) + io("output", *outputs)
        (repository / name / "config.pbtxt").write_text(text)
    return folder


def tensor(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data)}


def infer(server, model, *inputs, **more):
    return server.post(f"/v2/models/{model}/infer", json={"inputs": list(inputs), **more})


def values(response):
    """{output: data} of a JSON answer"""
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.json()["outputs"]}


def error(response):
    assert response.status_code >= 400, response.text
    return json.loads(response.content)["error"]  # in UTF-8, whatever the content type makes of it


def eventually(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pending(server, model):
    for line in requests.get(f"http://{server.metrics}/metrics", timeout=10).text.splitlines():
        if line.startswith("nv_inference_pending_request_count{") and f'model="{model}"' in line:
            return float(line.rsplit(" ", 1)[1])
    return 0

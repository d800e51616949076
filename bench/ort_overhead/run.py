"""What the server adds to ONNX Runtime: requests over HTTP with binary tensors against the same model in a loop without a server."""
import argparse
import json
import pathlib
import struct
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

import measure
from support.server import BINARY, BUILD, ROOT, Server


def make_mlp(path, width=256, layers=6):
    """a model of 20-50 us: a few dense layers of one row"""
    random = np.random.default_rng(1)
    nodes, weights, last = [], [], "input"
    for i in range(layers):
        weights.append(onnx.numpy_helper.from_array((random.standard_normal((width, width)) / width**0.5).astype(np.float32), f"w{i}"))
        out = "output" if i == layers - 1 else f"r{i}"
        nodes += [helper.make_node("MatMul", [last, f"w{i}"], [f"m{i}"]), helper.make_node("Relu", [f"m{i}"], [out])]
        last = out
    tensor = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name in ("input", "output")]
    model = helper.make_model(helper.make_graph(nodes, "mlp", tensor[:1], tensor[1:], weights), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.parent.mkdir(parents=True)
    onnx.save(model, path)


def infer_body(name, datatype, shape, data, output):
    head = json.dumps({"inputs": [{"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(data)}}],
                       "outputs": [{"name": output, "parameters": {"binary_data": True}}]}).encode()
    return len(head), head + data


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--only", default="", help="parts of subjects' names, with | between")
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        repository = folder / "models"
        subprocess.run([f"{ROOT}/tools/setup/models.sh", str(repository)], check=True)
        for path in repository.iterdir():  # only what is measured is loaded
            if path.name != "magika":
                subprocess.run(["rm", "-r", str(path)], check=True)
        make_mlp(repository / "mlp" / "1" / "model.onnx")
        (repository / "mlp" / "config.pbtxt").write_text('backend: "onnxruntime"\nmax_batch_size: 0\n')
        place = folder / "server"
        place.mkdir()
        server = Server(place, f"--model-repository={repository}", "--allow-grpc=false", "--allow-metrics=false").start()
        bodies = {
            "mlp": infer_body("input", "FP32", [1, 256], struct.pack("<256f", *[0.1] * 256), "output"),
            "magika": infer_body("bytes", "INT32", [1, 2048], struct.pack("<2048i", *[i % 256 for i in range(2048)]), "target_label"),
        }
        for name, (_, body) in bodies.items():
            (folder / name).write_bytes(body)

        def http(model, connections):
            length, _ = bodies[model]
            output = subprocess.run(
                [BINARY, "bench", f"{server.url}/v2/models/{model}/infer", "-c", str(connections), "-d", str(options.seconds), "--json",
                 "--body-file", str(folder / model), "-H", f"Inference-Header-Content-Length: {length}",
                 "-H", "Content-Type: application/octet-stream", "--pid", str(server.pid)],
                check=True, capture_output=True, text=True).stdout
            seen = json.loads(output)
            assert not seen["errors"], seen
            return {"rps": seen["rps"], "cpu_us": seen["cpu_us"], "p50": seen["p50_ms"], "p99": seen["p99_ms"]}

        def loop(model, *flags):
            output = subprocess.run(
                [f"{BUILD}/ort_in_process", str(repository / model / "1" / "model.onnx"), f"--seconds={options.seconds}",
                 "--variable=2048", *flags], check=True, capture_output=True, text=True).stdout
            return {**json.loads(output), "p50": 0.0, "p99": 0.0}

        subjects = {"loop": ("mlp", lambda: loop("mlp", "--pool=1")), "HTTP, c=1": ("mlp", lambda: http("mlp", 1)),
                    "HTTP, c=16": ("mlp", lambda: http("mlp", 16))}
        runs = {"mlp, " + name: run for name, (_, run) in subjects.items()}
        for pool, spin in ((1, False), (2, False), (2, True)):
            for callers in (1, 2, 16):
                flags = [f"--pool={pool}", f"--threads={callers}"] + (["--spin"] if spin else [])
                runs[f"magika, loop, {callers} callers, pool {pool}{', spinning' if spin else ''}"] = lambda flags=flags: loop("magika", *flags)
        runs["magika, loop, 1 caller, pool 2, batch 16"] = lambda: loop("magika", "--pool=2", "--batch=16")
        runs["magika, HTTP, c=1"] = lambda: http("magika", 1)
        runs["magika, HTTP, c=16"] = lambda: http("magika", 16)
        runs = {name: run for name, run in runs.items() if any(part in name for part in options.only.split("|"))}
        for model in bodies:
            http(model, 16)
        medians = measure.interleaved(options.rounds, list(runs), lambda name: runs[name]())
        server.stop()
        print(f"\n{measure.machine()}; {options.rounds} rounds of {options.seconds} s, medians\n")
        own = medians.get("mlp, loop", {}).get("cpu_us", 0)
        measure.table(["", "inferences/s", "CPU us each", "beyond the loop", "p50 ms", "p99 ms"], [
            [name, round(seen["rps"]), seen["cpu_us"], f"{seen['cpu_us'] - own:.1f}" if "mlp, HTTP" in name else "", seen["p50"], seen["p99"]]
            for name, seen in medians.items()])
        best = {1: max(seen["rps"] for name, seen in medians.items() if "loop, 1 caller" in name and "batch" not in name),
                16: max(seen["rps"] for name, seen in medians.items() if "magika, loop" in name and "batch" not in name)} if not options.only else {}
        for connections in best:
            share = medians[f"magika, HTTP, c={connections}"]["rps"] / best[connections]
            print(f"magika over HTTP at {connections}: {share:.1%} of the best loop with as many callers")


if __name__ == "__main__":
    main()

"""model.py files on the Python backend: what a model may do, seen through the official clients."""
import json
import queue
import re
import threading

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient

from support.python_models import PYTHON, error, infer, io, tensor, values, write_model

pytestmark = pytest.mark.smoke

IDENTITY = """
    class TritonPythonModel:
        def execute(self, requests):
            return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", pb_utils.get_input_tensor_by_name(r, "IN").as_numpy())])
                    for r in requests]
"""
# A response for each element of IN, then the final mark; with BAD, an error in the middle.
REPEAT = """
    import threading

    class TritonPythonModel:
        def execute(self, requests):
            for request in requests:
                threading.Thread(target=self.answer, args=(request, request.get_response_sender())).start()

        def answer(self, request, sender):
            for value in pb_utils.get_input_tensor_by_name(request, "IN").as_numpy().reshape(-1):
                if value < 0:
                    sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError("a negative value", pb_utils.TritonError.INVALID_ARG)))
                else:
                    sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([value], np.int32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
DECOUPLED = "model_transaction_policy { decoupled: true }\n"
INT_IN, INT_OUT = ("IN", "INT32", [-1]), ("OUT", "INT32", [-1])


@pytest.fixture
def serve(tmp_path, start_server):
    """serve(*flags) serves the models written into serve.repository"""
    class Serve:
        repository = tmp_path / "models"

        def __call__(self, *flags):
            self.repository.mkdir(exist_ok=True)
            return start_server(f"--model-repository={self.repository}", "--v2-auth=open", PYTHON, *flags)

    return Serve()


def test_the_utilities_of_a_request_say_what_the_client_sent(serve):
    write_model(serve.repository, "m", """
        import json

        class TritonPythonModel:
            def initialize(self, args):
                self.args = args

            def execute(self, requests):
                out = []
                for r in requests:
                    told = {"id": r.request_id(), "corr": r.correlation_id(), "flags": r.flags(), "timeout": r.timeout(),
                            "parameters": json.loads(r.parameters()), "outputs": sorted(r.requested_output_names()),
                            "cancelled": r.is_cancelled(), "trace": r.trace().get_context(), "model": r.model_name(),
                            "version": r.model_version(), "inputs": [[t.name(), t.triton_dtype(), t.shape(), t.is_cpu()] for t in r.inputs()],
                            "args": {k: v for k, v in self.args.items() if k != "model_config"},
                            "max_batch_size": json.loads(self.args["model_config"])["max_batch_size"],
                            "missing": pb_utils.get_input_tensor_by_name(r, "NOPE") is None}
                    out.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([json.dumps(told)], dtype=object))],
                                                          parameters={"s": "x", "i": 7, "b": True, "f": 0.5}))
                return out
    """, [INT_IN], [("OUT", "STRING", [1]), ("OTHER", "INT32", [1])])
    server = serve()
    answer = infer(server, "m", tensor("IN", "INT32", [2], [1, 2]), id="seven", outputs=[{"name": "OUT"}],
                   parameters={"sequence_id": 9, "sequence_start": True, "mine": "yes", "n": 3, "flag": False})
    told = json.loads(values(answer)["OUT"][0])
    assert told == {
        "id": "seven", "corr": 9, "flags": 1, "timeout": 0, "parameters": {"mine": "yes", "n": 3, "flag": False}, "outputs": ["OUT"],
        "cancelled": False, "trace": None, "model": "m", "version": 1, "inputs": [["IN", 8, [2], True]], "max_batch_size": 0, "missing": True,
        "args": {"model_instance_kind": "CPU", "model_instance_device_id": "0", "model_instance_name": "m_0",
                 "model_repository": str(serve.repository / "m"), "model_version": "1", "model_name": "m"}}
    assert answer.json()["parameters"] == {"s": "x", "i": 7, "b": True, "f": 0.5}


def test_every_datatype_comes_back_as_it_went_in(serve):
    kinds = {"BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64, "INT8": np.int8,
             "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
    for name in kinds:
        write_model(serve.repository, name.lower(), IDENTITY, [("IN", name, [-1, 2])], [("OUT", name, [-1, 2])])
    write_model(serve.repository, "string", IDENTITY, [("IN", "STRING", [-1])], [("OUT", "STRING", [-1])])
    server = serve()
    for module, address in ((httpclient, server.http), (grpcclient, server.grpc)):
        client = module.InferenceServerClient(address)
        cases = {name.lower(): (name, (np.arange(6).reshape(3, 2) % 3).astype(dtype)) for name, dtype in kinds.items()}
        cases["string"] = ("BYTES", np.array([b"", b"plain", "äöü".encode(), b"\x00\xff" * 5000], dtype=object))
        for model, (name, data) in cases.items():
            given = module.InferInput("IN", data.shape, name)
            given.set_data_from_numpy(data)
            assert (client.infer(model, [given]).as_numpy("OUT") == data).all(), (module.__name__, model)
        client.close()


def test_empty_and_large_tensors_pass(serve):
    write_model(serve.repository, "m", IDENTITY, [INT_IN], [INT_OUT])
    server = serve("--backend-config=python,shm-default-byte-size=1048576", "--backend-config=python,shm-growth-byte-size=65536")
    client = httpclient.InferenceServerClient(server.http, network_timeout=120)
    for count in (0, 1, 1 << 20, 12 << 20, 3):
        data = np.arange(count, dtype=np.int32)
        given = httpclient.InferInput("IN", data.shape, "INT32")
        given.set_data_from_numpy(data)
        assert (client.infer("m", [given]).as_numpy("OUT") == data).all(), count
    client.close()


def test_dlpack_goes_both_ways(serve):
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            def execute(self, requests):
                out = []
                for r in requests:
                    given = pb_utils.get_input_tensor_by_name(r, "IN")
                    assert given.__dlpack_device__() == (1, 0)
                    array = np.from_dlpack(given)
                    doubled = array * 2
                    try:
                        pb_utils.Tensor.from_dlpack("OUT", doubled.reshape(2, -1).T)
                    except pb_utils.TritonModelException as refusal:
                        assert "not contiguous" in str(refusal)
                    else:
                        raise AssertionError("a strided tensor was taken")
                    out.append(pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack("OUT", doubled)]))
                return out
    """, [INT_IN], [INT_OUT])
    assert values(infer(serve(), "m", tensor("IN", "INT32", [4], [1, 2, 3, 4])))["OUT"] == [2, 4, 6, 8]


def test_arrays_of_every_layout_are_sent_as_their_elements(serve):
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            def execute(self, requests):
                base = np.arange(12, dtype=np.int32).reshape(3, 4)
                big = np.arange(40000, dtype=np.int32).reshape(200, 200)
                outputs = {"T": base.T, "STEP": base[:, ::2], "BIG_ENDIAN": base.astype(">i4"), "BIG": big.T, "STR": np.array([["a", "bc"]])}
                return [pb_utils.InferenceResponse([pb_utils.Tensor(k, v) for k, v in outputs.items()]) for r in requests]
    """, [INT_IN], [("T", "INT32", [4, 3]), ("STEP", "INT32", [3, 2]), ("BIG_ENDIAN", "INT32", [3, 4]), ("BIG", "INT32", [200, 200]),
                    ("STR", "STRING", [1, 2])])
    base, big = np.arange(12).reshape(3, 4), np.arange(40000).reshape(200, 200)
    got = values(infer(serve(), "m", tensor("IN", "INT32", [1], [0])))
    assert got == {"T": base.T.ravel().tolist(), "STEP": base[:, ::2].ravel().tolist(), "BIG_ENDIAN": base.ravel().tolist(),
                   "BIG": big.T.ravel().tolist(), "STR": ["a", "bc"]}


def test_inputs_stay_readable_after_the_answer(serve):
    """An array that a model keeps is its own to read for ever: the memory behind it is not given to others."""
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            kept = []

            def execute(self, requests):
                out = []
                for r in requests:
                    array = pb_utils.get_input_tensor_by_name(r, "IN").as_numpy()
                    self.kept.append((int(array[0]), array))
                    wrong = sum(1 for value, kept in self.kept if (kept != value).any())
                    out.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([wrong], np.int32))]))
                return out
    """, [INT_IN], [INT_OUT])
    server = serve()
    for i in range(200):
        assert values(infer(server, "m", tensor("IN", "INT32", [300], [i] * 300)))["OUT"] == [0]


def test_batches_hold_the_requests_of_several_clients(serve):
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            def execute(self, requests):
                size = sum(r.inputs()[0].shape()[0] for r in requests)
                return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy()),
                                                    pb_utils.Tensor("SIZE", np.full((r.inputs()[0].shape()[0], 1), size, np.int32))]) for r in requests]
    """, [("IN", "INT32", [1])], [("OUT", "INT32", [1]), ("SIZE", "INT32", [1])],
        "max_batch_size: 8\ndynamic_batching { preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 2000000 }\n")
    server, answers = serve(), queue.SimpleQueue()
    threads = [threading.Thread(target=lambda i=i: answers.put((i, values(infer(server, "m", tensor("IN", "INT32", [2, 1], [i, -i]))))))
               for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in threads:
        i, got = answers.get()
        assert got == {"OUT": [i, -i], "SIZE": [8, 8]}


def test_responses_may_come_from_a_sender_after_execute_has_returned(serve):
    write_model(serve.repository, "m", """
        import threading

        class TritonPythonModel:
            def execute(self, requests):
                for r in requests:
                    threading.Timer(0.05, self.answer, (r, r.get_response_sender())).start()

            def answer(self, r, sender):
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy() + 1)]),
                            flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    """, [INT_IN], [INT_OUT])
    assert values(infer(serve(), "m", tensor("IN", "INT32", [2], [1, 2])))["OUT"] == [2, 3]


def test_execute_may_be_a_coroutine(serve):
    for name, config in (("plain", ""), ("decoupled", DECOUPLED)):
        write_model(serve.repository, name, """
            import asyncio

            class TritonPythonModel:
                def initialize(self, args):
                    self.decoupled = args["model_name"] == "decoupled"

                async def execute(self, requests):
                    await asyncio.sleep(0.01)
                    if pb_utils.get_input_tensor_by_name(requests[0], "IN").as_numpy()[0] < 0:
                        raise ValueError("late trouble")
                    answers = [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy() * 3)]) for r in requests]
                    if not self.decoupled:
                        return answers
                    for request, answer in zip(requests, answers):
                        request.get_response_sender().send(answer, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        """, [INT_IN], [INT_OUT], config)
    server = serve()
    assert values(infer(server, "plain", tensor("IN", "INT32", [1], [5])))["OUT"] == [15]
    assert server.post("/v2/models/decoupled/generate", json={"IN": [5]}).json()["OUT"] == 15
    for response in (infer(server, "plain", tensor("IN", "INT32", [1], [-5])), server.post("/v2/models/decoupled/generate", json={"IN": [-5]})):
        assert "ValueError: late trouble" in error(response) and "model.py(" in error(response)


def events(response):
    return [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]


def test_decoupled_models_stream_over_http(serve):
    write_model(serve.repository, "m", REPEAT, [INT_IN], [INT_OUT], DECOUPLED)
    server = serve()
    got = server.post("/v2/models/m/generate_stream", json={"IN": [1, 2, 3]})
    assert got.headers["content-type"].startswith("text/event-stream")
    assert [e["OUT"] for e in events(got)] == [1, 2, 3]
    assert events(server.post("/v2/models/m/generate_stream", json={"IN": []})) == []
    with_error = events(server.post("/v2/models/m/generate_stream", json={"IN": [1, -1, 2]}))
    assert [e.get("OUT", e.get("error")) for e in with_error] == [1, "a negative value", 2]
    assert server.post("/v2/models/m/generate", json={"IN": [4]}).json()["OUT"] == 4
    # Triton takes no decoupled model on infer; here a client that accepts events gets one for each response.
    refused = infer(server, "m", tensor("IN", "INT32", [1], [1]))
    assert refused.status_code == 501 and "decoupled" in error(refused)
    stream = server.post("/v2/models/m/infer", json={"inputs": [tensor("IN", "INT32", [3], [7, -1, 9])], "id": "x"},
                         headers={"Accept": "text/event-stream"})
    assert stream.status_code == 200 and stream.headers["content-type"].startswith("text/event-stream")
    first, second, third = events(stream)
    assert first == {"id": "x", "model_name": "m", "model_version": "1",
                     "outputs": [{"name": "OUT", "datatype": "INT32", "shape": [1], "data": [7]}]}
    assert second == {"error": "a negative value"}
    assert third["outputs"][0]["data"] == [9]


def test_decoupled_models_stream_over_grpc(serve):
    write_model(serve.repository, "m", REPEAT, [INT_IN], [INT_OUT], DECOUPLED)
    server, answers = serve(), queue.SimpleQueue()
    client = grpcclient.InferenceServerClient(server.grpc)
    client.start_stream(lambda result, error: answers.put((result, error)))
    data = np.arange(1000, dtype=np.int32)
    given = grpcclient.InferInput("IN", data.shape, "INT32")
    given.set_data_from_numpy(data)
    client.async_stream_infer("m", [given], enable_empty_final_response=True)
    for value in data:
        result, problem = answers.get(timeout=30)
        assert not problem and result.as_numpy("OUT").tolist() == [value]
    last, problem = answers.get(timeout=30)
    assert not problem and last.get_response().parameters["triton_final_response"].bool_param and not last.get_response().outputs
    client.stop_stream()
    client.close()


def test_a_client_that_does_not_read_holds_back_the_model_and_nobody_else(serve):
    write_model(serve.repository, "flood", """
        import threading

        class TritonPythonModel:
            def execute(self, requests):
                for request in requests:
                    threading.Thread(target=self.answer, args=(request, request.get_response_sender())).start()

            def answer(self, request, sender):
                self.sent = 0
                block = np.zeros(1 << 16, np.int32)
                while not sender.is_cancelled():
                    sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", block)]))
                    self.sent += 1
                pb_utils.Logger.log_info("the flood ended after %d" % self.sent)
                sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    """, [INT_IN], [INT_OUT], DECOUPLED)
    write_model(serve.repository, "m", IDENTITY, [INT_IN], [INT_OUT])
    server = serve()
    stream = server.post("/v2/models/flood/generate_stream", json={"IN": [1]}, stream=True)
    assert next(stream.iter_content(1000))
    for _ in range(20):
        assert values(infer(server, "m", tensor("IN", "INT32", [1], [1])))["OUT"] == [1]
    stream.close()
    sent = int(server.wait_for_line(r"the flood ended after (\d+)").group(1))
    assert sent < 500  # of 256 KiB: the bounded queues and socket buffers between, not what the model could make


def test_a_model_sees_that_its_client_went_away(serve):
    write_model(serve.repository, "m", """
        import time

        class TritonPythonModel:
            def execute(self, requests):
                pb_utils.Logger.log_info("begun")
                while not requests[0].is_cancelled():
                    time.sleep(0.005)
                pb_utils.Logger.log_info("the client is gone")
                return [pb_utils.InferenceResponse([]) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    client = grpcclient.InferenceServerClient(server.grpc)
    given = grpcclient.InferInput("IN", [1], "INT32")
    given.set_data_from_numpy(np.zeros(1, np.int32))
    call = client.async_infer("m", [given], lambda result, error: None)
    server.wait_for_line("begun")
    call.cancel()
    server.wait_for_line("the client is gone", 20)
    client.close()


BLS = """
    import asyncio

    def request(model, value, **more):
        return pb_utils.InferenceRequest(model_name=model, requested_output_names=["OUT"], inputs=[pb_utils.Tensor("IN", value)], **more)

    def out(response):
        if response.has_error():
            raise pb_utils.TritonModelException(response.error().message())
        return pb_utils.get_output_tensor_by_name(response, "OUT").as_numpy()

    class TritonPythonModel:
        def initialize(self, args):
            try:
                request("other", np.zeros(1, np.int32)).exec()
            except pb_utils.TritonModelException as refusal:
                self.refusal = str(refusal)

        async def many(self, value):
            answers = await asyncio.gather(*[request("other", value + i).async_exec() for i in range(5)])
            return np.concatenate([out(a) for a in answers])

        def execute(self, requests):
            responses = []
            for r in requests:
                mode = pb_utils.get_input_tensor_by_name(r, "MODE").as_numpy()[0].decode()
                value = pb_utils.get_input_tensor_by_name(r, "IN").as_numpy()
                try:
                    if mode == "exec":
                        result = out(request("other", value).exec())
                    elif mode == "pass":  # a tensor of ours goes on as it is
                        result = out(pb_utils.InferenceRequest(model_name="other", requested_output_names=["OUT"],
                                                               inputs=[pb_utils.get_input_tensor_by_name(r, "IN")]).exec())
                    elif mode == "async":
                        result = asyncio.run(self.many(value))
                    elif mode == "stream":
                        result = np.concatenate([out(each) for each in request("repeat", value).exec(decoupled=True)
                                                 if each.has_error() or each.output_tensors()])
                    elif mode == "cancel":
                        responses_of = request("repeat", np.arange(100000, dtype=np.int32)).exec(decoupled=True)
                        next(responses_of)
                        responses_of.cancel()
                        result = np.array([sum(1 for each in responses_of) < 90000], np.int32)
                    elif mode == "init":
                        raise pb_utils.TritonModelException(self.refusal)
                    elif mode == "ready":
                        result = np.array([pb_utils.is_model_ready("other"), pb_utils.is_model_ready("nope"),
                                           pb_utils.is_model_ready("other", "1"), pb_utils.is_model_ready("other", "2")], np.int32)
                    elif mode == "unload":
                        pb_utils.unload_model("spare")
                        result = np.array([pb_utils.is_model_ready("spare")], np.int32)
                    elif mode == "load":
                        pb_utils.load_model("spare")
                        result = np.array([pb_utils.is_model_ready("spare")], np.int32)
                    else:
                        result = out(request(mode, value).exec())
                    responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", result.astype(np.int32))]))
                except pb_utils.TritonModelException as problem:
                    responses.append(pb_utils.InferenceResponse(error=pb_utils.TritonError(str(problem))))
            return responses
"""


def test_models_call_models(serve):
    write_model(serve.repository, "bls", BLS, [("MODE", "STRING", [1]), INT_IN], [INT_OUT])
    write_model(serve.repository, "other", IDENTITY.replace(".as_numpy())", ".as_numpy() * 10)"), [INT_IN], [INT_OUT])
    write_model(serve.repository, "repeat", REPEAT, [INT_IN], [INT_OUT], DECOUPLED)
    write_model(serve.repository, "spare", IDENTITY, [INT_IN], [INT_OUT])
    (serve.repository / "native" / "1").mkdir(parents=True)
    (serve.repository / "native" / "config.pbtxt").write_text('backend: "identity"\n' + io("input", INT_IN) + io("output", INT_OUT))
    server = serve("--model-control-mode=explicit", "--load-model=*")

    def ask(mode, *data):
        response = infer(server, "bls", tensor("MODE", "BYTES", [1], [mode]), tensor("IN", "INT32", [len(data)], data))
        return values(response)["OUT"] if response.status_code == 200 else error(response)

    assert ask("exec", 1, 2) == [10, 20]
    assert ask("pass", 1, 2) == [10, 20]
    assert ask("native", 1, 2) == [1, 2]  # a backend in the server's own process
    assert ask("async", 1) == [10, 20, 30, 40, 50]
    assert ask("stream", *range(200)) == list(range(200))
    assert ask("cancel") == [1]
    assert ask("ready") == [1, 0, 1, 0]
    assert ask("unload") == [0] and server.get("/v2/models/spare/ready").status_code == 400
    assert ask("load") == [1] and server.get("/v2/models/spare/ready").status_code == 200
    assert ask("nope", 1) == "Failed for execute the inference request. Model 'nope' is not ready."
    assert "is using the decoupled" in ask("repeat", 1)
    assert ask("init") == "BLS is only supported during the 'execute' function."
    assert ask("stream", 1, -1) == "a negative value"


def test_a_cancelled_request_cancels_what_its_model_asked_for(serve):
    write_model(serve.repository, "bls", BLS, [("MODE", "STRING", [1]), INT_IN], [INT_OUT])
    write_model(serve.repository, "waits", """
        import time

        class TritonPythonModel:
            def execute(self, requests):
                pb_utils.Logger.log_info("the inner one has begun")
                while not requests[0].is_cancelled():
                    time.sleep(0.005)
                pb_utils.Logger.log_info("the inner one is cancelled")
                return [pb_utils.InferenceResponse([]) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    client = grpcclient.InferenceServerClient(server.grpc)
    mode, given = grpcclient.InferInput("MODE", [1], "BYTES"), grpcclient.InferInput("IN", [1], "INT32")
    mode.set_data_from_numpy(np.array(["waits"], dtype=object))
    given.set_data_from_numpy(np.zeros(1, np.int32))
    call = client.async_infer("bls", [mode, given], lambda result, error: None)
    server.wait_for_line("the inner one has begun")
    call.cancel()
    server.wait_for_line("the inner one is cancelled", 20)
    client.close()


def test_custom_metrics_are_on_the_metrics_page(serve):
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            def initialize(self, args):
                kinds = pb_utils.MetricFamily
                self.family = kinds(name="my_requests", description="Requests, \\"mine\\"", kind=kinds.COUNTER)
                self.counter = self.family.Metric(labels={"model": args["model_name"], "v": "1"})
                self.gauge = kinds("my_gauge", "A gauge", kinds.GAUGE).Metric()
                self.histogram = kinds("my_histogram", "A histogram", kinds.HISTOGRAM).Metric(buckets=[1, 5])
                problems = []
                for attempt in (lambda: kinds("nv_inference_count", "x", kinds.COUNTER), lambda: kinds("my_gauge", "x", kinds.COUNTER),
                                lambda: self.counter.increment(-1), lambda: self.counter.set(3), lambda: kinds("bad name", "x", kinds.GAUGE)):
                    try:
                        attempt()
                        problems.append("taken")
                    except pb_utils.TritonModelException:
                        pass
                assert not problems, problems

            def execute(self, requests):
                for r in requests:
                    self.counter.increment(2)
                    self.gauge.set(7.5)
                    self.gauge.increment(-1)
                    for value in (0.5, 3, 100):
                        self.histogram.observe(value)
                return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([self.counter.value()], np.int32))]) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    assert values(infer(server, "m", tensor("IN", "INT32", [1], [0])))["OUT"] == [2]
    assert values(infer(server, "m", tensor("IN", "INT32", [1], [0])))["OUT"] == [4]
    import requests
    page = requests.get(f"http://{server.metrics}/metrics", timeout=10).text
    for line in ('my_requests{model="m",v="1"} 4', "my_gauge 6.5", 'my_histogram_bucket{le="1"} 2', 'my_histogram_bucket{le="+Inf"} 6',
                 "my_histogram_count 6", "# TYPE my_histogram histogram"):
        assert line in page, page


def test_log_lines_of_models_are_the_servers(serve):
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            def execute(self, requests):
                pb_utils.Logger.log_warn("careful")
                pb_utils.Logger.log("plain")
                pb_utils.Logger.log("loud", pb_utils.Logger.ERROR)
                pb_utils.Logger.log_verbose("not shown")
                print("printed")
                return [pb_utils.InferenceResponse([]) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    assert infer(server, "m", tensor("IN", "INT32", [1], [0])).status_code == 200
    server.wait_for_line(r'^W.*model\.py:\d+\] "?careful')
    server.wait_for_line(r'^I.*model\.py:\d+\] "?plain')
    server.wait_for_line(r'^E.*model\.py:\d+\] "?loud')
    server.wait_for_line(r"^printed$")
    assert "not shown" not in server.output()


def test_what_a_model_prints_stays_in_whole_lines(serve, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")  # writes a text and its line's end apart
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            def execute(self, requests):
                for i in range(500):
                    pb_utils.Logger.log_info("logged")
                    print("printed", i)
                return [pb_utils.InferenceResponse([]) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    assert infer(server, "m", tensor("IN", "INT32", [1], [0])).status_code == 200
    server.wait_for_line("printed 499")
    assert re.findall(r"^printed (\d+)$", server.output(), re.MULTILINE) == [str(i) for i in range(500)]


def test_a_model_may_complete_its_configuration(serve):
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "data_type": "TYPE_INT32", "dims": [4]})
                config.add_input({"name": "MAYBE", "data_type": "TYPE_FP32", "dims": [-1], "optional": True})
                config.add_output({"name": "OUT", "data_type": "TYPE_INT32", "dims": [4]})
                config.set_max_batch_size(16)
                config.set_dynamic_batching()
                return config

            def execute(self, requests):
                return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy())]) for r in requests]
    """, write_config=False)
    server = serve()
    config = server.get("/v2/models/m/config").json()
    assert config["max_batch_size"] == 16 and "dynamic_batching" in config
    assert [(t["name"], t["data_type"], t["dims"], t["optional"]) for t in config["input"]] == [
        ("IN", "TYPE_INT32", [4], False), ("MAYBE", "TYPE_FP32", [-1], True)]
    assert values(infer(server, "m", tensor("IN", "INT32", [1, 4], [1, 2, 3, 4])))["OUT"] == [1, 2, 3, 4]


def test_readiness_is_what_the_model_says(serve):
    marker = serve.repository.parent / "not_ready"
    write_model(serve.repository, "m", IDENTITY + f"""
        def is_ready(self):
            import os
            return not os.path.exists({str(marker)!r})
""", [INT_IN], [INT_OUT])
    write_model(serve.repository, "other", IDENTITY, [INT_IN], [INT_OUT])
    server = serve()
    assert server.get("/v2/health/ready").status_code == 200
    marker.write_text("")
    server.wait_for_line("'m_0' is not ready: is_ready")
    assert server.get("/v2/health/ready").status_code == 400
    assert server.get("/v2/models/m/ready").status_code == 400
    assert server.get("/v2/models/other/ready").status_code == 200
    marker.unlink()
    server.wait_for_line("'m_0' says that it is ready again")
    assert server.get("/v2/health/ready").status_code == 200


def test_finalize_runs_when_a_model_is_unloaded(serve):
    write_model(serve.repository, "m", IDENTITY + """
        def finalize(self):
            pb_utils.Logger.log_info("finalized")
""", [INT_IN], [INT_OUT], "instance_group [ { count: 3 kind: KIND_CPU } ]\n")
    server = serve("--model-control-mode=explicit", "--load-model=m")
    assert server.post("/v2/repository/models/m/unload").status_code == 200
    server.wait_for_line("successfully unloaded 'm'")
    assert server.output().count('"finalized"') == 3


def test_a_model_that_asks_to_be_called_again_is_told_that_it_cannot(serve):
    write_model(serve.repository, "m", """
        class TritonPythonModel:
            def execute(self, requests):
                for r in requests:
                    r.set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_RESCHEDULE)
                return [None for r in requests]
    """, [INT_IN], [INT_OUT])
    assert "TRITONSERVER_REQUEST_RELEASE_RESCHEDULE" in error(infer(serve(), "m", tensor("IN", "INT32", [1], [0])))

"""Python models and what goes on beside execute(): coroutines, futures, response senders, cancellation."""
import queue
import socket
import threading

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from support.processes import named
from support.python_models import PYTHON, error, infer, tensor, values, write_model

pytestmark = pytest.mark.smoke

INT_IN, INT_OUT = ("IN", "INT32", [-1]), ("OUT", "INT32", [-1])
DECOUPLED = "model_transaction_policy { decoupled: true }\n"
IDENTITY = """
    class TritonPythonModel:
        def execute(self, requests):
            return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy())]) for r in requests]
"""
# Helpers of the models below.
PARTS = """
    import asyncio
    import json
    import sys
    import threading

    FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL

    def how(request):
        return json.loads(request.parameters()).get("how", "")

    def answer(value):
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array(value, np.int32).reshape(-1))])

    def ask(value, model="other"):
        return pb_utils.InferenceRequest(model_name=model, requested_output_names=["OUT"], inputs=[pb_utils.Tensor("IN", np.array([value], np.int32))])

    def out(response):
        return int(pb_utils.get_output_tensor_by_name(response, "OUT").as_numpy()[0])
"""
# Answers when the file GATE is there.
GATED = PARTS + """
    import os
    import time

    class TritonPythonModel:
        def execute(self, requests):
            while not os.path.exists(%r): time.sleep(0.005)
            return [answer(r.inputs()[0].as_numpy()) for r in requests]
"""


@pytest.fixture
def serve(tmp_path, start_server):
    """serve(*flags) serves the models written into serve.repository"""
    class Serve:
        repository = tmp_path / "models"
        gate = tmp_path / "gate"

        def __call__(self, *flags):
            return start_server(f"--model-repository={self.repository}", "--v2-auth=open", PYTHON, *flags)

    return Serve()


def send(server, model, how="", value=4):
    return infer(server, model, tensor("IN", "INT32", [1], [value]), parameters={"how": how})


def test_async_exec_is_a_future_that_is_under_way_at_once(serve):
    write_model(serve.repository, "other", IDENTITY, [INT_IN], [INT_OUT])
    write_model(serve.repository, "m", PARTS + """
    class TritonPythonModel:
        async def execute(self, requests):
            call = ask(5).async_exec()
            assert asyncio.isfuture(call)
            done, _ = await asyncio.wait([call, ask(6).async_exec()])
            assert sorted(out(each.result()) for each in done) == [5, 6]
            assert out(await call) == out(await call) == 5
            return [answer(out(await ask(r.inputs()[0].as_numpy()[0]).async_exec())) for r in requests]
    """, [INT_IN], [INT_OUT])
    assert values(send(serve(), "m"))["OUT"] == [4]


def test_a_call_whose_event_loop_is_closed_costs_nobody_else_anything(serve):
    write_model(serve.repository, "other", IDENTITY, [INT_IN], [INT_OUT])
    write_model(serve.repository, "gated", GATED % str(serve.gate), [INT_IN], [INT_OUT], "instance_group [ { count: 2 kind: KIND_CPU } ]\n")
    write_model(serve.repository, "m", PARTS + """
    async def left_behind():
        ask(1, "gated").async_exec()

    async def given_up():
        try:
            await asyncio.wait_for(ask(2, "gated").async_exec(), 0.01)
        except asyncio.TimeoutError:
            return
        raise AssertionError("the gate is open")

    class TritonPythonModel:
        def execute(self, requests):
            if how(requests[0]) == "leave":
                asyncio.run(left_behind())
                asyncio.run(given_up())
            return [answer(out(ask(r.inputs()[0].as_numpy()[0]).exec())) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    assert values(send(server, "m", "leave"))["OUT"] == [4]
    serve.gate.write_text("")
    assert values(infer(server, "gated", tensor("IN", "INT32", [1], [3])))["OUT"] == [3]
    for i in range(5):
        assert values(send(server, "m", value=i))["OUT"] == [i]


def test_sys_exit_in_a_coroutine_ends_the_worker_with_its_request(serve):
    write_model(serve.repository, "m", PARTS + """
    class TritonPythonModel:
        async def execute(self, requests):
            if how(requests[0]) == "exit": sys.exit(7)
            return [answer(4) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    assert "SystemExit: 7" in error(send(server, "m", "exit"))
    assert values(send(server, "m"))["OUT"] == [4]


def test_sys_exit_does_not_wait_for_the_models_threads(serve):
    write_model(serve.repository, "m", PARTS + """
    class TritonPythonModel:
        def execute(self, requests):
            if how(requests[0]) == "exit":
                threading.Thread(target=threading.Event().wait).start()
                sys.exit("no more")
            return [answer(4) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    assert "SystemExit: no more" in error(send(server, "m", "exit"))
    server.wait_for_line("the worker of 'm_0' exited with code 1")
    assert values(send(server, "m"))["OUT"] == [4]


SENDERS = PARTS + """
    class TritonPythonModel:
        def initialize(self, args):
            self.loop = asyncio.new_event_loop()
            threading.Thread(target=self.loop.run_forever, daemon=True).start()
            self.kept = []

        def execute(self, requests):
            for request in requests:
                # Nobody has asked for the sender when execute returns.
                asyncio.run_coroutine_threadsafe(self.answer(request), self.loop)

        async def answer(self, request):
            await asyncio.sleep(0.05)
            what = how(request)
            if what == "dropped": return
            sender = request.get_response_sender()
            sender.send(answer(1))
            if what == "cut": return
            sender.send(answer(2), flags=True)
"""


def test_a_response_sender_may_be_asked_for_late_but_not_forgotten(serve):
    write_model(serve.repository, "m", SENDERS, [INT_IN], [INT_OUT], DECOUPLED)
    server, answers = serve(), queue.SimpleQueue()
    client = grpcclient.InferenceServerClient(server.grpc)
    client.start_stream(lambda result, error: answers.put((result, error)))
    for what, expected in (("", [1, 2]), ("dropped", ["error"]), ("cut", [1, "error"]), ("", [1, 2])):
        given = grpcclient.InferInput("IN", [1], "INT32").set_data_from_numpy(np.zeros(1, np.int32))
        client.async_stream_infer("m", [given], parameters={"how": what})
        for each in expected:
            result, problem = answers.get(timeout=30)
            if each == "error":
                assert "let go of the response sender" in problem.message() and "'m_0'" in problem.message()
            else:
                assert not problem and result.as_numpy("OUT").tolist() == [each]
    client.stop_stream()
    client.close()


def test_a_coroutine_that_was_cancelled_fails_its_requests(serve):
    write_model(serve.repository, "m", PARTS + """
    class TritonPythonModel:
        async def execute(self, requests):
            senders = [r.get_response_sender() for r in requests]
            if how(requests[0]) == "cancel": raise asyncio.CancelledError()
            for sender in senders: sender.send(answer(4), flags=FINAL)
    """, [INT_IN], [INT_OUT], DECOUPLED)
    server = serve()
    assert "CancelledError" in error(server.post("/v2/models/m/generate", json={"IN": [1], "parameters": {"how": "cancel"}}))
    assert server.post("/v2/models/m/generate", json={"IN": [1]}).json()["OUT"] == 4


def test_a_slow_client_does_not_hold_the_event_loop_of_others(serve):
    write_model(serve.repository, "m", PARTS + """
    class TritonPythonModel:
        async def execute(self, requests):
            for request in requests:
                sender = request.get_response_sender()
                for i in range(int(request.inputs()[0].as_numpy()[0])):
                    sender.send(answer(np.zeros(1 << 18)))
                sender.send(answer(7), flags=FINAL)
    """, [INT_IN], [INT_OUT], DECOUPLED)
    server = serve()
    slow = socket.create_connection(server.http.split(":"))
    body = b'{"IN": [40]}'
    slow.sendall(b"POST /v2/models/m/generate_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert slow.recv(1)  # and no more: 40 MB wait for it
    for _ in range(3):
        assert server.post("/v2/models/m/generate", json={"IN": [0]}).json()["OUT"] == 7
    slow.close()


def test_an_execute_that_waits_too_long_for_a_slow_client_loses_that_client_only(serve):
    write_model(serve.repository, "m", PARTS + """
    class TritonPythonModel:
        def execute(self, requests):
            for request in requests:
                sender = request.get_response_sender()
                for i in range(int(request.inputs()[0].as_numpy()[0])):
                    if sender.is_cancelled(): break
                    sender.send(answer(np.zeros(1 << 18)))
                sender.send(answer(7), flags=FINAL)
    """, [INT_IN], [INT_OUT], DECOUPLED + 'parameters { key: "EXECUTE_TIMEOUT_SECONDS" value { string_value: "4" } }\n')
    server = serve()
    worker = named(server.pid, "nereid_worker m_0")
    slow = socket.create_connection(server.http.split(":"))
    body = b'{"IN": [100000]}'
    slow.sendall(b"POST /v2/models/m/generate_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert slow.recv(1)
    assert server.post("/v2/models/m/generate", json={"IN": [0]}).json()["OUT"] == 7
    slow.close()
    assert named(server.pid, "nereid_worker m_0") == worker


def test_the_first_look_at_a_request_sees_that_it_was_cancelled(serve):
    write_model(serve.repository, "m", (GATED % str(serve.gate)).replace("while not os", """pb_utils.Logger.log_info("begun")
            while not os""").replace("return [", """pb_utils.Logger.log_info("cancelled: %s" % [r.is_cancelled() for r in requests])
            return ["""), [INT_IN], [INT_OUT])
    server = serve()
    client = grpcclient.InferenceServerClient(server.grpc)
    given = grpcclient.InferInput("IN", [1], "INT32").set_data_from_numpy(np.zeros(1, np.int32))
    done = threading.Event()
    call = client.async_infer("m", [given], lambda result, error: done.set())
    server.wait_for_line("begun")
    call.cancel()
    assert done.wait(20)
    # What follows on the same connection comes after the cancellation.
    assert client.is_server_live()
    serve.gate.write_text("")
    server.wait_for_line(r"cancelled: \[True\]", 20)
    client.close()
    assert values(send(server, "m"))["OUT"] == [4]
    server.wait_for_line(r"cancelled: \[False\]", 20)


def test_wrong_arguments_are_the_models_trouble_and_cost_no_worker(serve):
    write_model(serve.repository, "m", PARTS + """
    ATTEMPTS = [
        lambda: pb_utils.InferenceRequest(model_name="m", requested_output_names=["OUT"], inputs=[], model_version="1"),
        lambda: pb_utils.InferenceRequest(model_name="m", requested_output_names=["OUT"], inputs=[], request_id=7),
        lambda: pb_utils.InferenceRequest(model_name="m", requested_output_names=["OUT"], inputs=[], timeout=1.5),
        lambda: pb_utils.InferenceRequest(model_name="m", requested_output_names=["OUT"], inputs=[], timeout=-1),
        lambda: pb_utils.InferenceRequest(model_name="m", requested_output_names=["OUT"], inputs=[], correlation_id=-1),
        lambda: pb_utils.InferenceRequest(model_name=None, requested_output_names=["OUT"], inputs=[]),
        lambda: pb_utils.InferenceRequest(model_name=b"m", requested_output_names=["OUT"], inputs=[]),
        lambda: pb_utils.InferenceRequest(model_name="m", requested_output_names=[1], inputs=[]),
        lambda: pb_utils.Logger.log("text", "INFO"),
        lambda: pb_utils.Logger.log("text", 4),
        lambda: pb_utils.MetricFamily("name", "text", "COUNTER"),
        lambda: pb_utils.MetricFamily("name", None, pb_utils.MetricFamily.COUNTER),
        lambda: pb_utils.is_model_ready(None),
        lambda: pb_utils.is_model_ready("m", "99999999999999999999"),
        lambda: pb_utils.load_model(None),
        lambda: pb_utils.unload_model(1),
        lambda: pb_utils.TritonError("text", 9),
        lambda: pb_utils.TritonError(1),
        lambda: pb_utils.Tensor("", np.zeros(1)),
        lambda: pb_utils.Tensor(None, np.zeros(1)),
    ]

    class TritonPythonModel:
        def execute(self, requests):
            taken = []
            for number, attempt in enumerate(ATTEMPTS):
                try:
                    attempt()
                    taken.append(number)
                except (TypeError, ValueError, pb_utils.TritonModelException):
                    pass
            assert not taken, taken
            good = pb_utils.InferenceRequest(model_name="m", requested_output_names=["OUT"], inputs=[], model_version=np.int64(1), timeout=np.uint8(3),
                                             correlation_id=np.int32(5), flags=True)
            assert (good.model_version(), good.timeout(), good.correlation_id(), good.flags()) == (1, 3, 5, 1)
            pb_utils.Logger.log("fine", np.int32(1))
            assert requests[0].requested_output_names() == {"OUT"}
            assert pb_utils.triton_to_numpy_type(14) is None and pb_utils.numpy_to_triton_type(np.complex64) is None
            return [answer(4) for r in requests]
    """, [INT_IN], [INT_OUT])
    server = serve()
    worker = named(server.pid, "nereid_worker m_0")
    assert values(send(server, "m"))["OUT"] == [4]
    assert named(server.pid, "nereid_worker m_0") == worker


def test_an_answer_that_cannot_be_read_fails_alone_in_its_batch(serve):
    write_model(serve.repository, "m", PARTS + """
    class TritonPythonModel:
        def execute(self, requests):
            assert len(requests) == 6
            return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy())],
                                               parameters={"text": "\\udcff" if r.inputs()[0].as_numpy()[0, 0] == 1 else "fine"}) for r in requests]
    """, [("IN", "INT32", [1])], [("OUT", "INT32", [1])],
        "max_batch_size: 6\ndynamic_batching { preferred_batch_size: [ 6 ] max_queue_delay_microseconds: 20000000 }\n")
    server, answers = serve(), {}
    worker = named(server.pid, "nereid_worker m_0")

    def ask(i):
        answers[i] = infer(server, "m", tensor("IN", "INT32", [1, 1], [i]))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert "the parameter 'text' of a response" in error(answers.pop(1))
    assert {i: values(each)["OUT"] for i, each in answers.items()} == {i: [i] for i in (0, 2, 3, 4, 5)}
    assert named(server.pid, "nereid_worker m_0") == worker


def test_a_models_modules_are_found_as_triton_finds_them(serve, tmp_path, monkeypatch):
    """Relative imports work, what lies beside a model hides no module of Python, and the server's own folder is no place for modules."""
    folder = write_model(serve.repository, "m", PARTS + """
    import queue  # the folder of the model has one, too

    from .helper import VALUE
    import beside

    class TritonPythonModel:
        def execute(self, requests):
            try:
                import nowhere
                raise AssertionError("found in the server's folder")
            except ImportError:
                pass
            assert queue.SimpleQueue and __name__ == "1.model" and pb_utils.get_model_dir() == %r, __name__
            return [answer(VALUE + beside.VALUE) for r in requests]
    """ % str(serve.repository / "m" / "1"), [INT_IN], [INT_OUT])
    (folder / "helper.py").write_text("VALUE = 30\n")
    (folder / "queue.py").write_text("raise RuntimeError('the wrong one')\n")
    (folder.parent / "beside.py").write_text("VALUE = 4\n")
    (tmp_path / "nowhere.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert values(send(serve(), "m"))["OUT"] == [34]

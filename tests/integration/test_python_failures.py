"""Bad models on the Python backend: each fails alone, with a text that names it and says where; the server and the other models go on."""
import os
import signal
import threading

import pytest

from support.processes import named, workers
from support.python_models import PYTHON, error, eventually, infer, pending, tensor, values, write_model

pytestmark = pytest.mark.smoke

INT_IN, INT_OUT = ("IN", "INT32", [-1]), ("OUT", "INT32", [-1])
GOOD = """
    class TritonPythonModel:
        def execute(self, requests):
            return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy())]) for r in requests]
"""
# Each request says in its parameters what is to go wrong.
BAD = """
    import ctypes
    import json
    import os
    import signal
    import sys
    import time

    class TritonPythonModel:
        def execute(self, requests):
            request = requests[0]
            how = json.loads(request.parameters()).get("how", "nothing")
            answer = pb_utils.InferenceResponse([pb_utils.Tensor("OUT", request.inputs()[0].as_numpy())])
            if how == "nothing": return [answer]
            if how == "raise": raise ValueError("on purpose")
            if how == "raise_unicode": raise ValueError("\\udcff\\x00\\u00e4 \\"quoted\\"")
            if how == "raise_deep": return self.deep(0)
            if how == "exit": sys.exit(7)
            if how == "_exit": os._exit(3)
            if how == "segv": ctypes.string_at(0)
            if how == "abort": os.abort()
            if how == "kill": os.kill(os.getpid(), signal.SIGKILL)
            if how == "none": return None
            if how == "no_list": return answer
            if how == "no_response": return ["what"]
            if how == "too_many": return [answer, answer]
            if how == "too_few": return []
            if how == "wrong_type": return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", [1, 2])])]
            if how == "wrong_dtype": return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([1.5]))])]
            if how == "odd_dtype": return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array(["2020-01-01"], dtype="datetime64"))])]
            if how == "wrong_shape": return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.zeros((2, 2), np.int32))])]
            if how == "sender_twice":
                sender = request.get_response_sender()
                sender.send(answer, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
                sender.send(answer)
            if how == "print": print("x" * (1 << 20)); print("e" * (1 << 20), file=sys.stderr); return [answer]
            if how == "memory": return [bytearray(1 << 33)]
            if how == "block":
                while True: time.sleep(0.05)
            if how == "spin":
                while True: pass
            if how == "fork":
                pid = os.fork()
                if pid == 0:
                    try: pb_utils.Logger.log_info("from the child")
                    except RuntimeError: os._exit(11)
                    os._exit(0)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([code], np.int32))])]
            if how == "leave_child":
                pid = os.fork()
                if pid == 0:
                    while True: time.sleep(1)
                os._exit(5)

        def deep(self, level):
            return self.deep(level + 1)
"""


@pytest.fixture
def serve(tmp_path, start_server):
    """serve(*flags) serves the models written into serve.repository"""
    class Serve:
        repository = tmp_path / "models"

        def __call__(self, *flags):
            return start_server(f"--model-repository={self.repository}", "--v2-auth=open", PYTHON, *flags)

    return Serve()


def bad(server, how, timeout=None):
    return infer(server, "bad", tensor("IN", "INT32", [1], [4]), parameters={"how": how})


def check_alive(server):
    assert values(infer(server, "good", tensor("IN", "INT32", [1], [6])))["OUT"] == [6]
    assert server.get("/v2/health/live").status_code == 200


@pytest.fixture
def good_and_bad(serve):
    write_model(serve.repository, "good", GOOD, [INT_IN], [INT_OUT])
    write_model(serve.repository, "bad", BAD, [INT_IN], [INT_OUT])
    return serve


TEXTS = {
    "raise": ["ValueError: on purpose", "model.py(", "): execute"],
    "raise_unicode": ["ValueError", 'ä "quoted"'],
    "raise_deep": ["RecursionError", "): deep"],
    "none": ["execute function returned None"],
    "no_list": ["Expected a list", "InferenceResponse"],
    "no_response": ["Expected an 'InferenceResponse' object", "str"],
    "too_many": ["InferenceRequest(s) size is:1, and InferenceResponse(s) size is:2"],
    "too_few": ["InferenceRequest(s) size is:1, and InferenceResponse(s) size is:0"],
    "wrong_type": ["numpy.ndarray is expected, not list", "): execute"],
    "wrong_dtype": ["output 'OUT'", "FP64", "INT32"],
    "odd_dtype": ["unsupported NumPy dtype 'datetime64[D]'"],
    "wrong_shape": ["output 'OUT'", "[2,2]", "[-1]"],
}


def test_what_a_model_does_wrong_is_said_to_its_client(good_and_bad):
    server = good_and_bad()
    worker = named(server.pid, "nereid_worker bad_0")
    for how, words in TEXTS.items():
        response = bad(server, how)
        assert response.status_code == 500, (how, response.text)
        assert all(word in error(response) for word in words + ["bad"]), (how, error(response))
        assert values(bad(server, "nothing"))["OUT"] == [4]
        check_alive(server)
    assert values(bad(server, "sender_twice"))["OUT"] == [4]  # the second one is the model's own trouble
    assert named(server.pid, "nereid_worker bad_0") == worker  # nothing of this costs the worker


def test_a_megabyte_on_stdout_does_no_harm(good_and_bad):
    server = good_and_bad()
    assert values(bad(server, "print"))["OUT"] == [4]
    check_alive(server)


ENDS = {
    "exit": ["SystemExit: 7", "model.py(", "): execute"],
    "_exit": ["the worker of 'bad_0' exited with code 3"],
    "segv": ["the worker of 'bad_0' was killed by SIGSEGV", "Segmentation fault", "in execute"],
    "abort": ["the worker of 'bad_0' was killed by SIGABRT", "in execute"],
    "kill": ["the worker of 'bad_0' was killed by SIGKILL"],
    "leave_child": ["the worker of 'bad_0' exited with code 5"],
}


@pytest.mark.parametrize("how", ENDS)
def test_a_worker_that_ends_fails_its_request_and_is_replaced_at_once(good_and_bad, how):
    server = good_and_bad()
    before = workers(server.pid)
    response = bad(server, how)
    assert response.status_code == 500 and all(word in error(response) for word in ENDS[how]), error(response)
    assert values(bad(server, "nothing"))["OUT"] == [4]  # waits for the new one
    server.wait_for_line("the worker of 'bad_0' is there again after")
    check_alive(server)
    eventually(lambda: len(workers(server.pid)) == len(before))  # what the worker had started is gone with it
    assert server.get("/v2/health/ready").status_code == 200


def test_a_worker_that_dies_while_idle_is_replaced_before_anybody_asks(good_and_bad):
    server = good_and_bad()
    os.kill(named(server.pid, "nereid_worker bad_0")[0], signal.SIGKILL)
    server.wait_for_line("the worker of 'bad_0' is there again after")
    assert values(bad(server, "nothing"))["OUT"] == [4]


def test_the_other_instance_serves_while_one_restarts(serve):
    write_model(serve.repository, "m", """
        import os
        import time

        class TritonPythonModel:
            def initialize(self, args):
                # The first worker of each instance starts at once, its successor only when it may.
                marker = %r + args["model_instance_name"]
                if os.path.exists(marker):
                    while not os.path.exists(%r): time.sleep(0.01)
                open(marker, "w").close()

            def execute(self, requests):
                return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([os.getpid()], np.int32))]) for r in requests]
    """ % (str(serve.repository.parent) + "/", str(serve.repository.parent / "go")), [INT_IN], [INT_OUT],
        "instance_group [ { count: 2 kind: KIND_CPU } ]\n")
    server = serve()
    first, second = (named(server.pid, f"nereid_worker m_0_{i}")[0] for i in range(2))
    os.kill(first, signal.SIGKILL)
    server.wait_for_line(r"the worker of 'm_0_0' was killed by SIGKILL")
    for _ in range(50):
        assert values(infer(server, "m", tensor("IN", "INT32", [1], [0])))["OUT"] == [second]
    assert server.get("/v2/models/m/ready").status_code == 200
    (serve.repository.parent / "go").write_text("")
    server.wait_for_line(r"the worker of 'm_0_0' is there again after")


def test_readiness_is_false_while_the_only_worker_restarts(serve):
    go = serve.repository.parent / "go"
    write_model(serve.repository, "m", GOOD + f"""
        def initialize(self, args):
            import os, time
            while not os.path.exists({str(go)!r}): time.sleep(0.01)
""", [INT_IN], [INT_OUT])
    go.write_text("")
    server = serve()
    go.unlink()
    os.kill(named(server.pid, "nereid_worker m_0")[0], signal.SIGKILL)
    server.wait_for_line("the worker of 'm_0' was killed by SIGKILL")
    assert server.get("/v2/models/m/ready").status_code == 400
    assert server.get("/v2/health/ready").status_code == 400
    answer = []
    waiting = threading.Thread(target=lambda: answer.append(infer(server, "m", tensor("IN", "INT32", [1], [3]))))
    waiting.start()  # a request that comes meanwhile waits for the new worker
    go.write_text("")
    waiting.join(60)
    assert values(answer[0])["OUT"] == [3]
    assert server.get("/v2/health/ready").status_code == 200


def test_a_model_that_cannot_start_again_is_refused_at_once_and_tried_now_and_then(serve):
    broken = serve.repository.parent / "broken"
    write_model(serve.repository, "good", GOOD, [INT_IN], [INT_OUT])
    write_model(serve.repository, "m", GOOD + f"""
        def initialize(self, args):
            import os
            if os.path.exists({str(broken)!r}): raise RuntimeError("the weights are gone")
""", [INT_IN], [INT_OUT])
    server = serve()
    broken.write_text("")
    os.kill(named(server.pid, "nereid_worker m_0")[0], signal.SIGKILL)
    server.wait_for_line("the worker of 'm_0' does not start, the next try is in 1 s")
    refused = infer(server, "m", tensor("IN", "INT32", [1], [3]))
    assert refused.status_code == 503 and "RuntimeError: the weights are gone" in error(refused) and "'m_0'" in error(refused)
    check_alive(server)
    server.wait_for_line("the worker of 'm_0' does not start, the next try is in 2 s")
    assert server.get("/v2/models/m/ready").status_code == 400
    broken.unlink()
    server.wait_for_line("the worker of 'm_0' is there again after")
    assert values(infer(server, "m", tensor("IN", "INT32", [1], [3])))["OUT"] == [3]


def test_requests_that_a_dead_worker_had_not_begun_are_executed_by_the_next(serve):
    write_model(serve.repository, "m", """
        import json
        import os
        import time

        class TritonPythonModel:
            def execute(self, requests):
                if json.loads(requests[0].parameters()).get("die"):
                    pb_utils.Logger.log_info("about to die")
                    while not os.path.exists(%r): time.sleep(0.005)
                    os._exit(1)
                return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy())]) for r in requests]
    """ % str(serve.repository.parent / "go"), [INT_IN], [INT_OUT])
    server, answers = serve(), {}

    def ask(number, **parameters):
        answers[number] = infer(server, "m", tensor("IN", "INT32", [1], [number]), parameters=parameters)

    threads = [threading.Thread(target=ask, args=(0,), kwargs={"die": True})]
    threads[0].start()
    server.wait_for_line("about to die")
    threads += [threading.Thread(target=ask, args=(i,)) for i in range(1, 6)]
    for thread in threads[1:]:
        thread.start()
    eventually(lambda: pending(server, "m") >= 4)  # one of the five is with the worker already
    (serve.repository.parent / "go").write_text("")
    for thread in threads:
        thread.join(60)
    assert answers[0].status_code == 500 and "exited with code 1" in error(answers[0])
    assert {i: values(answers[i])["OUT"] for i in range(1, 6)} == {i: [i] for i in range(1, 6)}


@pytest.mark.parametrize("how", ["block", "spin"])
def test_an_execute_that_never_returns_is_ended_with_its_stack(serve, how):
    write_model(serve.repository, "good", GOOD, [INT_IN], [INT_OUT])
    write_model(serve.repository, "bad", BAD, [INT_IN], [INT_OUT], 'parameters { key: "EXECUTE_TIMEOUT_SECONDS" value { string_value: "1" } }\n')
    server = serve()
    response = bad(server, how)
    assert response.status_code == 500
    assert "execute() had not returned after" in error(response) and "in execute" in error(response) and "bad_0" in error(response)
    assert values(bad(server, "nothing"))["OUT"] == [4]
    check_alive(server)


def test_an_execute_that_nobody_waits_for_any_more_is_ended(serve):
    write_model(serve.repository, "bad", BAD, [INT_IN], [INT_OUT])
    server = serve("--backend-config=python,stub-timeout-seconds=1")
    import requests
    with pytest.raises(requests.Timeout):
        requests.post(f"{server.url}/v2/models/bad/infer", timeout=0.5,
                      json={"inputs": [tensor("IN", "INT32", [1], [4])], "parameters": {"how": "block"}})
    server.wait_for_line("nobody waits for it any more")
    assert values(bad(server, "nothing"))["OUT"] == [4]


def test_a_memory_limit_fails_the_request_that_breaks_it(serve):
    write_model(serve.repository, "bad", BAD, [INT_IN], [INT_OUT],
                'parameters { key: "MEMORY_LIMIT_BYTES" value { string_value: "4294967296" } }\n')
    server = serve()
    assert "MemoryError" in error(bad(server, "memory"))
    assert values(bad(server, "nothing"))["OUT"] == [4]


def test_a_forked_child_cannot_disturb_the_channel(good_and_bad):
    server = good_and_bad()
    for _ in range(3):
        assert values(bad(server, "fork"))["OUT"] == [11]
    assert values(bad(server, "nothing"))["OUT"] == [4]


def test_multiprocessing_works_in_a_model(serve):
    write_model(serve.repository, "m", """
        import multiprocessing

        def double(array):
            return array * 2

        class TritonPythonModel:
            def initialize(self, args):
                self.pool = multiprocessing.get_context("fork").Pool(2)

            def execute(self, requests):
                return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", each)])
                        for each in self.pool.map(double, [r.inputs()[0].as_numpy() for r in requests])]

            def finalize(self):
                self.pool.terminate()
    """, [INT_IN], [INT_OUT])
    server = serve()
    for i in range(20):
        assert values(infer(server, "m", tensor("IN", "INT32", [1], [i])))["OUT"] == [2 * i]


@pytest.mark.parametrize("flags", [(), ("--disable-auto-complete-config",)])
def test_load_errors_say_what_is_wrong_with_the_model(serve, flags):
    cases = {
        "no_class": ("X = 1\n", ["has no class TritonPythonModel"]),
        "no_execute": ("class TritonPythonModel:\n    pass\n", ["has no function execute"]),
        "bad_syntax": ("class TritonPythonModel\n", ["SyntaxError", "model.py"]),
        "bad_import": ("import there_is_no_such_module\n", ["ModuleNotFoundError", "there_is_no_such_module", "model.py(4)"]),
        "bad_init": (GOOD + '        def initialize(self, args): raise RuntimeError("no weights")\n', ["RuntimeError: no weights", "): initialize"]),
        "exit_in_init": (GOOD + "        def initialize(self, args): import os; os._exit(9)\n", ["exited with code 9"]),
        "exit_on_import": ("import sys\nsys.exit(4)\n", ["SystemExit: 4"]),
        "crash_on_import": ("import ctypes\nctypes.string_at(0)\n", ["killed by SIGSEGV", "Segmentation fault"]),
    }
    for name, (code, _) in cases.items():
        write_model(serve.repository, name, code, [INT_IN], [INT_OUT])
    write_model(serve.repository, "no_file", GOOD, [INT_IN], [INT_OUT], file="other.py")
    write_model(serve.repository, "no_py", GOOD, [INT_IN], [INT_OUT], 'default_model_filename: "model.txt"\n')
    write_model(serve.repository, "gpu", GOOD, [INT_IN], [INT_OUT], "instance_group [ { kind: KIND_GPU } ]\n")
    write_model(serve.repository, "good", GOOD, [INT_IN], [INT_OUT])
    server = serve("--model-control-mode=explicit", "--load-model=good", *flags)
    before = workers(server.pid)
    cases["no_file"] = ("", ["Python model file not found in", "model.py"])
    cases["no_py"] = ("", ["Model name must end with '.py'", "model.txt"])
    cases["gpu"] = ("", ["KIND_GPU"])
    for name, (_, words) in cases.items():
        response = server.post(f"/v2/repository/models/{name}/load")
        assert response.status_code == 400, (name, response.text)
        assert all(word in error(response) for word in words + [name]), (name, error(response))
        check_alive(server)
    eventually(lambda: len(workers(server.pid)) == len(before))  # the workers of what failed go at once, but not within the answer


def test_auto_complete_that_contradicts_or_returns_nonsense(serve):
    head = "class TritonPythonModel:\n    def execute(self, requests): return []\n    @staticmethod\n    def auto_complete_config(config):\n        "
    cases = {
        "nonsense": (head + "return 5\n", "must return a valid pb.ModelConfig object"),
        "raises": (head + 'raise KeyError("what")\n', "KeyError"),
        "contradicts": (head + 'config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [1]}); return config\n', "TYPE_FP32"),
        "unknown_property": (head + 'config.add_input({"name": "IN", "colour": 1}); return config\n', "colour"),
        "unknown_field": (head + 'config.as_dict()["nope"] = 1; return config\n', "nope"),
    }
    for name, (code, _) in cases.items():
        write_model(serve.repository, name, code, [INT_IN], [INT_OUT])
    server = serve("--model-control-mode=explicit")
    for name, (_, word) in cases.items():
        response = server.post(f"/v2/repository/models/{name}/load")
        assert response.status_code == 400 and word in error(response), (name, response.text)


def test_settings_that_make_no_sense_fail_the_load_with_their_name(serve):
    write_model(serve.repository, "good", GOOD, [INT_IN], [INT_OUT])
    for setting in ("shm-default-byte-size=1024", "shm-default-byte-size=many", "stub-timeout-seconds=0", "check-outputs=maybe"):
        server = serve("--model-control-mode=explicit", f"--backend-config=python,{setting}")
        response = server.post("/v2/repository/models/good/load")
        assert response.status_code == 400 and f"--backend-config=python,{setting}" in error(response), response.text


def test_the_flags_of_the_article_are_taken(serve):
    write_model(serve.repository, "good", GOOD, [INT_IN], [INT_OUT])
    (serve.repository / "triton_config.yml").write_text("a stray file\n")
    server = serve("--backend-config=python,shm-default-byte-size=33554432", "--backend-config=python,shm-growth-byte-size=1048576",
                   "--backend-config=python,shm-region-prefix-name=article", "--backend-config=python,stub-timeout-seconds=20", "--log-verbose=1")
    check_alive(server)
    worker = named(server.pid, "nereid_worker good_0")[0]
    assert "memfd:article_good_0" in open(f"/proc/{worker}/maps").read()


def test_the_workers_go_with_a_server_that_is_killed(good_and_bad):
    server = good_and_bad()
    left = workers(server.pid)
    assert len(left) >= 2
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    eventually(lambda: not [pid for pid in left if os.path.exists(f"/proc/{pid}")])

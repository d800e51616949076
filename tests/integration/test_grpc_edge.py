"""gRPC through the official Python client: TLS, compression, calls that are given up, limits of connections, the end of the server."""
import random
import signal
import ssl
import subprocess
import threading

import grpc
import numpy as np
import pytest
import requests
import tritonclient.grpc as grpcclient

from support.python_models import PYTHON, write_model
from support.raw_http import connect

pytestmark = pytest.mark.smoke

ECHO = """
class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", pb_utils.get_input_tensor_by_name(r, "IN").as_numpy())]) for r in requests]
"""
# Answers when the client has gone, or the model is told to.
HELD = """
import threading, time

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            threading.Thread(target=self.answer, args=(request.get_response_sender(), request)).start()

    def answer(self, sender, request):
        seconds = float(pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()[0])
        pb_utils.Logger.log_info("held for %d s" % seconds)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not request.is_cancelled():
            time.sleep(0.005)
        sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([seconds], np.float32))]), flags=1)
"""


@pytest.fixture
def serve(start_server, tmp_path):
    """serve(*flags) -> a server with the models echo and held"""
    repository = tmp_path / "repository"
    vector = [("FP32", [-1])]
    write_model(repository, "echo", ECHO, [("IN", *vector[0])], [("OUT", *vector[0])])
    write_model(repository, "held", HELD, [("IN", *vector[0])], [("OUT", *vector[0])])
    return lambda *flags: start_server(f"--model-repository={repository}", PYTHON, "--v2-auth=open", *flags)


def given(array):
    return grpcclient.InferInput("IN", list(array.shape), "FP32").set_data_from_numpy(array)


def echoes(client, array, **options):
    return np.array_equal(client.infer("echo", [given(array)], **options).as_numpy("OUT"), array)


def small(number):
    return np.array([number, number + 1], np.float32)


# ---------------------------------------------------------------- TLS, compression


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "client", "stranger"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / f"{name}.key"), "-out",
                        str(folder / f"{name}.pem")], check=True, capture_output=True)
    return folder


def test_tls(serve, certificates):
    server = serve("--grpc-use-ssl=true", f"--grpc-server-cert={certificates}/server.pem", f"--grpc-server-key={certificates}/server.key")
    with grpcclient.InferenceServerClient(server.grpc, ssl=True, root_certificates=f"{certificates}/server.pem") as client:
        assert echoes(client, small(1)) and echoes(client, np.arange(1_000_000, dtype=np.float32))
    with grpcclient.InferenceServerClient(server.grpc, ssl=True, root_certificates=f"{certificates}/stranger.pem") as client:
        with pytest.raises(grpcclient.InferenceServerException):
            client.is_server_live(client_timeout=5)
    with grpcclient.InferenceServerClient(server.grpc) as client, pytest.raises(grpcclient.InferenceServerException):
        client.is_server_live(client_timeout=5)


def test_mutual_tls(serve, certificates):
    server = serve("--grpc-use-ssl-mutual=true", f"--grpc-server-cert={certificates}/server.pem", f"--grpc-server-key={certificates}/server.key",
                   f"--grpc-root-cert={certificates}/client.pem")
    secure = {"ssl": True, "root_certificates": f"{certificates}/server.pem"}
    known = {"private_key": f"{certificates}/client.key", "certificate_chain": f"{certificates}/client.pem"}
    unknown = {"private_key": f"{certificates}/stranger.key", "certificate_chain": f"{certificates}/stranger.pem"}
    with grpcclient.InferenceServerClient(server.grpc, **secure, **known) as client:
        assert echoes(client, small(1))
    for credentials in ({}, unknown):
        with grpcclient.InferenceServerClient(server.grpc, **secure, **credentials) as client:
            with pytest.raises(grpcclient.InferenceServerException):
                client.is_server_live(client_timeout=5)


def test_mutual_tls_resumes_sessions(serve, certificates):
    server = serve("--grpc-use-ssl-mutual=true", f"--grpc-server-cert={certificates}/server.pem", f"--grpc-server-key={certificates}/server.key",
                   f"--grpc-root-cert={certificates}/client.pem")
    context = ssl.create_default_context(cafile=f"{certificates}/server.pem")
    context.load_cert_chain(f"{certificates}/client.pem", f"{certificates}/client.key")
    context.set_alpn_protocols(["h2"])
    session = None
    for resumed in (False, True):
        with connect(server.grpc) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as connection:
            connection.settimeout(10)
            assert connection.recv(1)  # the server's settings, and tickets before them
            assert connection.session_reused is resumed
            session = connection.session


@pytest.mark.parametrize("level", ["none", "low", "medium", "high"])
def test_compression_both_ways(serve, level):
    server = serve(f"--grpc-infer-response-compression-level={level}")
    with grpcclient.InferenceServerClient(server.grpc) as client:
        for algorithm in (None, "gzip", "deflate"):
            assert echoes(client, np.zeros(300_000, np.float32), compression_algorithm=algorithm)
            assert echoes(client, np.random.default_rng(1).random(300_000, np.float32), compression_algorithm=algorithm)
            assert echoes(client, small(3), compression_algorithm=algorithm)


# ---------------------------------------------------------------- calls that are given up


def test_calls_that_are_given_up_harm_no_others(serve):
    server = serve()
    faults, over = [], threading.Event()
    with grpcclient.InferenceServerClient(server.grpc) as client:
        def be_steady(seed):
            number = seed
            while not over.is_set():
                number += 1
                size = 200_000 if number % 7 == 0 else 2
                if not echoes(client, np.full(size, number, np.float32), client_timeout=60):
                    faults.append(number)

        steady = [threading.Thread(target=be_steady, args=(1000 * i,)) for i in range(3)]
        for thread in steady:
            thread.start()
        dice = random.Random(4)
        ended = threading.Semaphore(0)
        calls = []
        for _ in range(300):
            # Some by their deadline, some by hand, at once or a little later.
            timeout = dice.choice([0.001, 0.02, 30])
            call = client.async_infer("held", [given(np.array([30], np.float32))], lambda result, error: ended.release(), client_timeout=timeout)
            calls.append(call)
            if dice.random() < 0.7:
                dice.choice(calls).cancel()
        for call in calls:
            call.cancel()
        for _ in calls:
            assert ended.acquire(timeout=60)
        over.set()
        for thread in steady:
            thread.join()
        assert not faults
        # Nothing of them is left: their slots are free once the model has seen the cancellations.
        assert echoes(client, small(5))
        assert client.infer("held", [given(np.array([0.0], np.float32))], client_timeout=60).as_numpy("OUT")[0] == 0
    assert server.alive()


def test_a_deadline_is_said_as_such(serve):
    server = serve()
    with grpcclient.InferenceServerClient(server.grpc) as client:
        with pytest.raises(grpcclient.InferenceServerException) as refused:
            client.infer("held", [given(np.array([30], np.float32))], client_timeout=0.2)
        assert "DEADLINE_EXCEEDED" in refused.value.status()


# ---------------------------------------------------------------- connections


def test_connections_end_at_their_age_and_calls_do_not(serve):
    server = serve("--grpc-max-connection-age=300", "--grpc-max-connection-age-grace=20000")
    with grpcclient.InferenceServerClient(server.grpc) as client:
        for number in range(3):  # each outlives its connection
            assert client.infer("held", [given(np.array([1], np.float32))], client_timeout=60).as_numpy("OUT")[0] == 1
            assert echoes(client, small(number))


def test_what_is_no_service_is_unimplemented(serve):
    server = serve()
    with grpc.insecure_channel(server.grpc) as channel:
        nowhere = channel.unary_unary("/inference.GRPCInferenceService/Nowhere")
        with pytest.raises(grpc.RpcError) as refused:
            nowhere(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED and "Nowhere" in refused.value.details()
        with pytest.raises(grpc.RpcError) as refused:  # more than the server takes of a head
            channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=10, metadata=[("x", "y" * 17_000)])
        assert refused.value.code() is not grpc.StatusCode.OK
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10) == b"\x08\x01"  # status: SERVING


def test_grpc_learns_of_the_end_while_http_is_still_served(serve):
    server = serve()
    answers = []

    def infer(seconds):
        given = {"inputs": [{"name": "IN", "datatype": "FP32", "shape": [1], "data": [seconds]}]}
        answers.append(requests.post(f"http://{server.http}/v2/models/held/infer", json=given, timeout=60))

    infer(0)  # the model is ready
    held = threading.Thread(target=infer, args=(5,))
    held.start()
    server.wait_for_line("held for 5 s")
    server.signal(signal.SIGTERM)
    refused = False
    while not refused and held.is_alive():
        try:
            connect(server.grpc).close()
        except ConnectionRefusedError:
            refused = True
    assert refused and len(answers) == 1
    held.join()
    assert answers[1].status_code == 200
    server.wait(60)


def test_a_server_that_ends_answers_what_it_has_begun(serve):
    server = serve()
    faults, answered = [], [0]

    def call(client):
        try:
            while True:
                if not echoes(client, small(answered[0]), client_timeout=60):
                    faults.append("wrong")
                answered[0] += 1
        except grpcclient.InferenceServerException as error:
            if "UNAVAILABLE" not in str(error.status()):
                faults.append(str(error))

    clients = [grpcclient.InferenceServerClient(server.grpc, channel_args=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(4)]
    threads = [threading.Thread(target=call, args=(client,)) for client in clients]
    results = []
    held = clients[0].async_infer("held", [given(np.array([1], np.float32))], lambda result, error: results.append((result, error)))
    for thread in threads:
        thread.start()
    while answered[0] < 200:
        assert server.alive()
    server.signal(signal.SIGTERM)
    server.wait(60)
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    assert held is not None and not faults
    assert len(results) == 1 and results[0][1] is None and results[0][0].as_numpy("OUT")[0] == 1

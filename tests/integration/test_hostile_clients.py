"""Clients that cut, mangle, pipeline, reset and leave at random, on every port at once, while others are served without a fault."""
import json
import random
import socket
import ssl
import struct
import subprocess
import threading

import numpy as np
import pytest
import requests
import tritonclient.grpc as grpcclient
from tritonclient.grpc import service_pb2

from support.gateway_config import MOCK_ENV, gateway_config
from support.raw_http import connect
from support.server import BINARY

pytestmark = pytest.mark.smoke

HOSTILE_THREADS, ATTACKS = 6, 150  # of each thread
UNVERIFIED = ssl._create_unverified_context()


def post(path, key, body, headers=b""):
    return (b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
            % (path, key, headers, len(body)) + body)


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def grpc_call(path, message):
    """a whole HTTP/2 connection with one call; header names and values as literals"""
    def literal(name, value):
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

    head = b"".join(literal(*pair) for pair in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"), (b"content-type", b"application/grpc"),
        (b"te", b"trailers"), (b"grpc-timeout", b"5S")))
    settings, headers, data, ping = 4, 1, 0, 6
    return (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(settings, 0, 0, b"") + frame(headers, 4, 1, head) + frame(ping, 0, 0, bytes(8))
            + frame(data, 1, 1, struct.pack(">BI", 0, len(message)) + message))


def requests_to_spoil(key):
    def chat(**more):
        return json.dumps({"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello " * 50}], **more}).encode()

    tensor = {"inputs": [{"name": "INPUT0", "datatype": "UINT8", "shape": [3], "data": [1, 2, 3]}]}
    binary = b'{"inputs":[{"name":"INPUT0","datatype":"UINT8","shape":[64],"parameters":{"binary_data_size":64}}]}'
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (chat()[:40], chat()[40:])) + b"0\r\n\r\n"
    return [
        post(b"/v1/chat/completions", key, chat()),
        post(b"/v1/chat/completions", key, chat(stream=True)),
        post(b"/v1/chat/completions", key, chat(stream=True, user="fault:slow")),
        post(b"/v1/chat/completions", key, chat(stream=True, user="fault:cut-after-2")),
        post(b"/v1/chat/completions", b"wrong", chat()),
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
        post(b"/v2/models/echo/infer", key, json.dumps(tensor).encode()),
        post(b"/v2/models/echo/infer", key, binary + bytes(64), b"Inference-Header-Content-Length: %d\r\n" % len(binary)),
        b"GET /v2/models/echo/stats HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    ]


def calls_to_spoil():
    request = service_pb2.ModelInferRequest(model_name="echo")
    request.inputs.add(name="INPUT0", datatype="UINT8", shape=[64])
    request.raw_input_contents.append(bytes(64))
    service = b"/inference.GRPCInferenceService/"
    return [grpc_call(service + b"ModelInfer", request.SerializeToString()), grpc_call(service + b"ModelStreamInfer", request.SerializeToString()),
            grpc_call(service + b"ServerMetadata", b""), grpc_call(b"/grpc.health.v1.Health/Check", b""), grpc_call(b"/nowhere", bytes(70_000))]


def attack(dice, address, spoiled, speak_tls):
    data = b"".join(dice.choice(spoiled) for _ in range(dice.choice([1, 1, 1, 3])))
    if dice.random() < 0.5:
        data = data[:dice.randrange(len(data))]
    if dice.random() < 0.4:
        data = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
    piece = max(1, len(data) // dice.choice([1, 1, 2, 7]))
    connection = connect(address)
    try:
        connection.settimeout(0.2)
        try:
            if speak_tls:
                connection = UNVERIFIED.wrap_socket(connection)
            for at in range(0, len(data), piece):
                connection.sendall(data[at:at + piece])
            end = dice.randrange(4)
            if end == 1:
                connection.shutdown(socket.SHUT_WR)
            if end in (1, 2):
                while connection.recv(dice.choice([1, 100, 65536])) and dice.random() < 0.8:
                    pass
            if end == 3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    finally:
        connection.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_hostile_clients_harm_nobody_else(tmp_path, start_server, mock_provider, tls):
    repository = tmp_path / "repository"
    (repository / "echo" / "1").mkdir(parents=True)
    (repository / "echo" / "config.pbtxt").write_text(
        'backend: "identity" max_batch_size: 0\n'
        'input [ { name: "INPUT0" data_type: TYPE_UINT8 dims: [ -1 ] } ]\noutput [ { name: "OUTPUT0" data_type: TYPE_UINT8 dims: [ -1 ] } ]\n')
    extra, verify = "", None
    if tls:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")],
                       check=True, capture_output=True)
        extra, verify = f"server: {{tls: {{certificate_file: {tmp_path}/certificate.pem, key_file: {tmp_path}/key.pem}}}}\n", str(tmp_path / "certificate.pem")
    server = start_server(f"--model-repository={repository}", config=gateway_config(mock_provider.base_url, extra), env=MOCK_ENV)
    base = ("https://" if tls else "http://") + server.http
    spoiled, spoiled_calls = requests_to_spoil(server.admin_key.encode()), calls_to_spoil()
    over, served, faults = threading.Event(), [0], []

    def be_hostile(seed):
        dice = random.Random(seed)
        for _ in range(ATTACKS):
            address = dice.choice([server.http, server.http, server.http, server.grpc, server.grpc, server.metrics])
            attack(dice, address, spoiled_calls if address == server.grpc and dice.random() < 0.8 else spoiled, tls and address == server.http and dice.random() < 0.7)

    def be_good():
        given = grpcclient.InferInput("INPUT0", [2], "UINT8").set_data_from_numpy(np.array([7, 8], np.uint8))
        with requests.Session() as session, grpcclient.InferenceServerClient(server.grpc) as client:
            while not over.is_set():
                answer = session.post(base + "/v1/chat/completions", headers=server.admin, timeout=60, verify=verify,
                                      json={"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]})
                infer = session.post(base + "/v2/models/echo/infer", timeout=60, verify=verify,
                                     json={"inputs": [{"name": "INPUT0", "datatype": "UINT8", "shape": [2], "data": [7, 8]}]})
                if answer.status_code != 200 or infer.status_code != 200 or infer.json()["outputs"][0]["data"] != [7, 8]:
                    faults.append((answer.text, infer.text))
                if client.infer("echo", [given], client_timeout=60).as_numpy("OUTPUT0").tolist() != [7, 8]:
                    faults.append("gRPC")
                served[0] += 1

    def recorded(work, *arguments):
        try:
            work(*arguments)
        except Exception as error:  # a thread's failure is the test's
            faults.append(f"{type(error).__name__}: {error}")

    hostile = [threading.Thread(target=recorded, args=(be_hostile, seed)) for seed in range(HOSTILE_THREADS)]
    good = threading.Thread(target=recorded, args=(be_good,))
    for thread in [*hostile, good]:
        thread.start()
    for thread in hostile:
        thread.join()
    over.set()
    good.join()
    assert not faults and served[0] > 0, faults[:3]
    assert server.alive(), server.output()[-3000:]
    report = requests.get(base + "/v1/admin/usage?hours=1", headers=server.admin, verify=verify, timeout=60).json()
    assert report["total_requests"] >= served[0]
    server.stop()
    done = subprocess.run([BINARY, "ledger", "verify", f"--state-folder={server.state}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

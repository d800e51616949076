"""What must not get past the network edge: smuggling shapes, slow and huge heads and bodies, half-open connections."""
import gzip
import json
import os
import re
import resource
import socket
import time
import zlib

import pytest

from support.raw_http import closed, connect, exchange, read_answer

pytestmark = pytest.mark.smoke

GOOD = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from support.server import Server

    folder = tmp_path_factory.mktemp("edge")
    repository = folder / "repository"
    (repository / "echo" / "1").mkdir(parents=True)
    (repository / "echo" / "config.pbtxt").write_text(
        'backend: "identity" max_batch_size: 0\n'
        'input [ { name: "INPUT0" data_type: TYPE_UINT8 dims: [ -1 ] } ]\noutput [ { name: "OUTPUT0" data_type: TYPE_UINT8 dims: [ -1 ] } ]\n')
    config = "server:\n  http:\n    head_timeout_ms: 1500\n    body_timeout_ms: 1500\n"
    server = Server(folder, f"--model-repository={repository}", config=config).start()
    yield server
    assert server.alive()
    assert server.stop() == 0


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


BROKEN = {
    "both lengths": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nabcd",
    "a signed length": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd",
    "a huge length": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "an unknown coding": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an odd spelling of chunked": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding on HTTP/1.0": b"POST /v2/models/echo/infer HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "no host": b"GET /v2 HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v2 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a space before the colon": b"GET /v2 HTTP/1.1\r\nHost : x\r\n\r\n",
    "a control character": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
    "a bare CR": b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: a\rb\r\n\r\n",
    "no version": b"GET /v2\r\nHost: x\r\n\r\n",
    "another version": b"GET /v2 HTTP/3.7\r\nHost: x\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello hello\r\n\r\n",
    "a bad chunk size": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_head_that_could_be_read_in_two_ways_is_400_and_the_connection_closes(server, name):
    status, _, _, ended = exchange(server.http, BROKEN[name] + GOOD)
    assert status == 400 and ended


def test_a_huge_head_is_refused(server):
    status, _, _, ended = exchange(server.http, b"GET /v2 HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n")
    assert status in (400, 431) and ended
    status, _, _, ended = exchange(server.http, b"GET /v2 HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 500 + b"\r\n")
    assert status in (400, 431) and ended


def test_pipelined_requests_are_answered_in_order(server):
    with connect(server.http) as connection:
        connection.sendall(GOOD + b"GET /v2/none HTTP/1.1\r\nHost: x\r\n\r\n" + GOOD)
        data = b""
        while data.count(b"HTTP/1.1 ") < 3 or not data.endswith(b"\r\n\r\n"):
            data += connection.recv(65536)
        assert re.findall(rb"HTTP/1\.1 (\d+)", data) == [b"200", b"404", b"200"]


def test_keep_alive_holds_and_close_is_honoured(server):
    with connect(server.http) as connection:
        for _ in range(3):
            connection.sendall(GOOD)
            assert read_answer(connection)[0] == 200
        connection.sendall(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        status, headers, _ = read_answer(connection)
        assert status == 200 and headers["connection"] == "close" and closed(connection)


def body_of(values):
    return json.dumps({"inputs": [{"name": "INPUT0", "datatype": "UINT8", "shape": [len(values)], "data": values}]}).encode()


def test_expect_continue_is_answered_before_the_body_is_sent(server):
    body = body_of([1, 2, 3])
    with connect(server.http) as connection:
        connection.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        status, _, answer = read_answer(connection)
        assert status == 200 and json.loads(answer)["outputs"][0]["data"] == [1, 2, 3]


def test_a_chunked_body_byte_by_byte_is_put_together(server):
    body = body_of([7, 8])
    with connect(server.http) as connection:
        connection.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in body:
            connection.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        status, _, answer = read_answer(connection)
        assert status == 200 and json.loads(answer)["outputs"][0]["data"] == [7, 8]


@pytest.mark.parametrize("encoding,pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies_are_read_and_answers_compressed_when_asked(server, encoding, pack):
    answer = server.post("/v2/models/echo/infer", data=pack(body_of([1] * 1000)), headers={"Content-Encoding": encoding, "Accept-Encoding": encoding})
    assert answer.status_code == 200 and answer.headers["Content-Encoding"] == encoding
    assert answer.json()["outputs"][0]["data"] == [1] * 1000


def test_a_bomb_of_zeros_is_refused_before_it_unfolds(server):
    bomb = gzip.compress(b" " * (300 << 20))
    answer = server.post("/v2/models/echo/infer", data=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code in (400, 413)


def test_an_oversized_json_body_is_refused_without_reading_it(server):
    status, _, _, _ = exchange(server.http, b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + server.admin_key.encode() + b"\r\nContent-Length: 9999999999\r\n\r\n")
    assert status == 413


def test_half_a_body_does_not_hold_the_connection_for_ever(server):
    with connect(server.http) as connection:
        connection.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        connection.settimeout(10)
        started = time.monotonic()
        assert closed(connection)
        assert time.monotonic() - started < 8


def test_200_half_open_heads_are_closed_in_time_while_others_are_served(server):
    connections = [connect(server.http) for _ in range(200)]
    for connection in connections:
        connection.sendall(b"GET /v2/health/live HTT")
    started = time.monotonic()
    for _ in range(20):
        assert server.get("/v2/health/live").status_code == 200
    for connection in connections:
        connection.settimeout(max(0.1, started + 8 - time.monotonic()))
        assert closed(connection)
        connection.close()


def test_a_client_that_resets_in_the_middle_harms_nobody(server):
    for _ in range(50):
        connection = connect(server.http)
        connection.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()
    assert server.get("/v2/health/live").status_code == 200


def test_a_server_without_descriptors_waits_for_them_instead_of_spinning(server):
    used = len(os.listdir(f"/proc/{server.pid}/fd"))
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    connections = [connect(server.http) for _ in range(40)]  # the kernel accepts them all
    before, started = cpu_seconds(server.pid), time.monotonic()
    connections[0].sendall(GOOD)
    assert read_answer(connections[0])[0] == 200
    for connection in connections[1:]:  # refused by time, which makes room for those behind
        connection.settimeout(30)
        assert closed(connection)
    assert cpu_seconds(server.pid) - before < 0.5 * (time.monotonic() - started)
    for connection in connections:
        connection.close()
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
    assert server.get("/v2/health/live").status_code == 200

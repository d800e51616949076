"""HTTP by hand, for requests that no client library would send."""
import socket


def connect(address, seconds=10):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=seconds)


def read_answer(connection):
    """status, lower-case headers, body of one answer with Content-Length or chunks or until the end"""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError(f"closed before the head was complete: {data!r}")
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    if "content-length" in headers:
        while len(rest) < int(headers["content-length"]):
            more = connection.recv(65536)
            if not more:
                raise ConnectionError("cut within the body")
            rest += more
    elif headers.get("transfer-encoding") == "chunked":
        while not rest.endswith(b"0\r\n\r\n"):
            more = connection.recv(65536)
            if not more:
                raise ConnectionError("cut within the chunks")
            rest += more
    return int(lines[0].split(" ")[1]), headers, rest


def closed(connection):
    """waits for the server's end of the connection"""
    try:
        while connection.recv(65536):
            pass
        return True
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def exchange(address, request, half_close=False):
    """sends `request` on a connection of its own: (status, headers, body, server closed it)"""
    with connect(address) as connection:
        connection.sendall(request)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        status, headers, body = read_answer(connection)
        connection.settimeout(0.5)
        try:
            ended = connection.recv(1) == b""
        except TimeoutError:
            ended = False
        except ConnectionResetError:
            ended = True
        return status, headers, body, ended

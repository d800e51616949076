"""Replays recorded HTTP and gRPC cases and says how the answers compare.

exact: equal status, headers that matter, structure and text. loose: the same status, an error names what the recorded one names, a success
has at least the recorded keys. Times and addresses are masked."""
import base64
import gzip
import http.client
import json
import math
import re
import zlib
from dataclasses import dataclass, field

MASKED_KEYS = {"ns", "last_inference"}
HEADERS = ("content-type", "content-encoding")
HEADER_LENGTH = "inference-header-content-length"


@dataclass
class Score:
    exact: int = 0
    loose: int = 0
    total: int = 0
    differences: list = field(default_factory=list)

    def add(self, case, exact, loose, why=""):
        self.total += 1
        self.exact += bool(exact)
        self.loose += bool(exact or loose)
        if not exact:
            self.differences.append(f"{'loose' if loose else 'MISS '} {case}: {why}"[:700])

    def __str__(self):
        return "\n".join([f"{self.exact} exact and {self.loose} loose of {self.total}", *self.differences])


def words(value):
    return set(re.findall(r"[A-Za-z][A-Za-z0-9_.]{2,}", value))


def masked(value, step, path=()):
    volatile = step.get("volatile", ())
    if isinstance(value, dict):
        return {k: "*" if k in MASKED_KEYS or any(re.fullmatch(p, ".".join((*path, k))) for p in volatile) else masked(v, step, (*path, k))
                for k, v in value.items()}
    if isinstance(value, list):
        pick, drop = step.get("pick_name"), tuple(step.get("drop_name_prefix") or ())
        if pick:
            value = [v for v in value if not isinstance(v, dict) or v.get("name") in (pick, None)]
        if drop:
            value = [v for v in value if not isinstance(v, dict) or not str(v.get("name", "")).startswith(drop)]
        return [masked(v, step, (*path, "[]")) for v in value]
    if isinstance(value, str):
        if any(re.fullmatch(p, ".".join(path)) for p in volatile):
            return "*"
        return re.sub(r"0x[0-9a-f]{6,}", "0xADDRESS", re.sub(r"(/[\w.\-]+)+/models(?=/|'|\"|$| |,)", "$REPO", value))
    return value


def same(a, b):
    """Equal as JSON; a number may differ in its last digits, but an integer is no float."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if isinstance(a, int) and isinstance(b, int):
            return a == b
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return a == b or abs(a - b) <= 1e-6 * max(abs(a), abs(b))
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def covers(recorded, actual):
    if isinstance(recorded, dict):
        return isinstance(actual, dict) and all(k in actual and covers(recorded[k], actual[k]) for k in recorded)
    return not isinstance(recorded, list) or isinstance(actual, list)


def send_http(address, request):
    """the answer in the recording's form; status 0 when none came"""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=request.get("timeout_s", 30))
    body = request["body"].encode() if request.get("body") is not None else base64.b64decode(request["body_b64"]) if "body_b64" in request else None
    try:
        connection.putrequest(request["method"], request["path"], skip_accept_encoding=True)
        for name, value in request.get("headers", {}).items():
            connection.putheader(name, value)
        if "content-length" not in {n.lower() for n in request.get("headers", {})} and (body is not None or request["method"] in ("POST", "PUT")):
            connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders()
        if body:
            connection.send(body)
        response = connection.getresponse()
        raw = response.read()
    except (OSError, http.client.HTTPException) as problem:
        return {"status": 0, "headers": {}, "text": type(problem).__name__}
    finally:
        connection.close()
    headers = {k.lower(): v for k, v in response.getheaders()}
    answer = {"status": response.status, "headers": headers}
    unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress}.get(headers.get("content-encoding"))
    raw = unpack(raw) if unpack else raw
    if HEADER_LENGTH in headers:
        split = int(headers[HEADER_LENGTH])
        raw, tail = raw[:split], raw[split:]
        answer["tail_b64"] = base64.b64encode(tail).decode()
    if raw:
        answer["text"] = raw.decode(errors="replace")
        if headers.get("content-type", "").startswith("text/event-stream"):
            answer["sse"] = [json.loads(e.removeprefix("data: ")) for e in answer["text"].split("\n\n") if e.strip()]
        else:
            try:
                answer["json"] = json.loads(answer["text"])
            except ValueError:
                pass
    return answer


def compare_http(step, recorded, actual):
    """-> exact, loose, why"""
    if recorded["status"] != actual["status"]:
        return False, False, f"status {actual['status']} {actual.get('text', '')!r} != {recorded['status']} {recorded.get('text', '')!r}"
    why = [f"{h}: {actual['headers'].get(h)!r} != {recorded['headers'].get(h)!r}" for h in HEADERS if recorded["headers"].get(h) != actual["headers"].get(h)]
    if (HEADER_LENGTH in recorded["headers"]) != (HEADER_LENGTH in actual["headers"]):
        why.append(f"presence of {HEADER_LENGTH}")
    if not step.get("ignore_body"):
        form = "sse" if "sse" in recorded else "json" if "json" in recorded else "text"
        wanted, got = masked(recorded.get(form), step), masked(actual.get(form), step)
        if not same(wanted, got):
            why.append(f"{got!r} != {wanted!r}")
        if recorded.get("tail_b64") != actual.get("tail_b64"):
            why.append("binary parts differ")
    if recorded["status"] >= 400:
        loose = set(step.get("mention", ())) <= words(actual.get("text", ""))
    else:
        loose = covers(recorded.get("json"), actual.get("json")) and len(recorded.get("sse", ())) == len(actual.get("sse", ()))
    return not why, loose, "; ".join(why)


class Grpc:
    """A channel and the messages of the official client."""

    def __init__(self, address):
        import grpc
        from google.protobuf import json_format
        from tritonclient.grpc import service_pb2, service_pb2_grpc

        self.grpc, self.json_format, self.messages = grpc, json_format, service_pb2
        self.channel = grpc.insecure_channel(address)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)

    def message(self, rpc, content):
        return self.json_format.ParseDict(content, getattr(self.messages, ("ModelInfer" if rpc == "ModelStreamInfer" else rpc) + "Request")())

    def send(self, request):
        rpc, options = request["rpc"], {"timeout": request.get("timeout_s", 20), "metadata": [tuple(x) for x in request.get("metadata", ())] or None}
        answers = []

        def told(message):
            return self.json_format.MessageToDict(message, preserving_proto_field_name=True)

        try:
            if rpc == "raw":
                call = self.channel.unary_unary(request["path"], request_serializer=bytes, response_deserializer=bytes)
                return {"code": "OK", "details": "", "raw_b64": base64.b64encode(call(base64.b64decode(request.get("body_b64", "")), **options)).decode()}
            if rpc == "ModelStreamInfer":
                for answer in self.stub.ModelStreamInfer(iter([self.message(rpc, r) for r in request["requests"]]), **options):
                    answers.append(told(answer))
                return {"code": "OK", "details": "", "responses": answers}
            return {"code": "OK", "details": "", "response": told(getattr(self.stub, rpc)(self.message(rpc, request.get("request", {})), **options))}
        except self.grpc.RpcError as error:
            stream = {"responses": answers} if rpc == "ModelStreamInfer" else {}
            return {"code": error.code().name, "details": error.details(), **stream}

    def close(self):
        self.channel.close()


def compare_grpc(step, recorded, actual):
    if recorded["code"] != actual["code"]:
        return False, False, f"{actual['code']} {actual['details']!r} != {recorded['code']} {recorded.get('details')!r}"
    why = []
    if masked(recorded.get("details") or "", step) != masked(actual.get("details") or "", step) and not step.get("ignore_details"):
        why.append(f"{actual['details']!r} != {recorded['details']!r}")
    for part in ("response", "responses", "raw_b64"):
        wanted, got = masked(recorded.get(part), step), masked(actual.get(part), step)
        if not same(wanted, got):
            why.append(f"{part} {got!r} != {wanted!r}")
    if recorded["code"] != "OK":
        loose = set(step.get("mention", ())) <= words(actual["details"])
    else:
        loose = covers(recorded.get("response"), actual.get("response"))
    return not why, loose, "; ".join(why)


def replay(case, send, compare, score):
    exact, loose, why = True, True, []
    for step in case["steps"]:
        if "req" not in step:
            continue
        actual = send(step["req"])
        if step.get("cleanup") or step.get("resp") is None:
            continue
        step_exact, step_loose, step_why = compare(step, step["resp"], actual)
        exact, loose = exact and step_exact, loose and step_loose
        if step_why:
            why.append(step_why)
    score.add(case["id"], exact, loose, "; ".join(why))

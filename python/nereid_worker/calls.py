"""What a model asks of the server: inference of other models, loading, metrics. Answers come to one thread, made at the first question."""
import asyncio
import contextvars
import itertools
import queue
import threading

from nereid_worker import channel, core
from nereid_worker.errors import TritonError, TritonModelException, integer, text
from nereid_worker.request import MOST_INT, InferenceResponse
from nereid_worker.tensor import block_at

CREDIT_EVERY = 16  # responses of a decoupled model between two words that there is room again

context = None  # set by the host
# The request on whose behalf a model calls another one: its deadline and cancellation go along. 0: none, or a batch of several.
parent = contextvars.ContextVar("nereid_parent", default=0)

_ids = itertools.count(1)  # 0 is channel.ASK_READY
_pending = {}  # call -> what takes its answers
_lock = threading.Lock()
_reader = None


def listen():
    """makes the thread that reads the server's replies"""
    global _reader
    if _reader is None:
        with _lock:
            if _reader is None:
                _reader = threading.Thread(target=_read, name="nereid-replies", daemon=True)
                _reader.start()


def _read():
    while True:
        content, at, message = core.wait_reply()
        block = block_at(content)
        call, final = message[0], message[1]
        take = _pending.pop(call, None) if final else _pending.get(call)
        if take is not None:
            try:
                take((block, at, message))
            except RuntimeError:
                pass  # the event loop that waited for it is closed
        block = message = take = None  # the block goes back before the next wait


def answer_readiness(ask):
    """from now on the server may ask: ask() -> (whether the model is ready, why not)"""
    wanted = queue.SimpleQueue()

    def run():
        while True:
            wanted.get()
            channel.send((channel.READY, *ask()))

    threading.Thread(target=run, name="nereid-ready", daemon=True).start()
    _pending[channel.ASK_READY] = wanted.put
    listen()


def _start(kind, message, copies, take):
    listen()
    call = next(_ids)
    _pending[call] = take
    try:
        channel.send((kind, call) + message, copies)
    except BaseException:
        _pending.pop(call, None)
        raise
    return call


def tell(kind, payload):
    channel.send((kind, 0, payload))


def call(kind, payload):
    """the answer's payload; raises what the server says against it"""
    answers = queue.SimpleQueue()
    _start(kind, (payload,), None, answers.put)
    _, _, (_, _, error, result) = answers.get()
    if error is not None:
        raise TritonModelException(error[1])
    return result


def load_model(model_name, config="", files=None):
    for path, content in (files or {}).items():
        if not isinstance(path, str) or not isinstance(content, bytes):
            raise TypeError("load_model: files must be a dict of str to bytes")
    if config and not isinstance(config, str):
        raise TypeError("load_model: config must be a JSON str")
    call(channel.LOAD, (text("load_model: the model's name", model_name), config or "", list((files or {}).items())))


def unload_model(model_name, unload_dependents=False):
    call(channel.UNLOAD, (text("unload_model: the model's name", model_name), bool(unload_dependents)))


def is_model_ready(model_name, model_version=""):
    version = str(model_version)
    if version and not version.lstrip("-").isdigit():
        raise TritonModelException("failed to get model version from specified version string '%s'" % version)
    number = integer("the version of a model", int(version) if version else -1, -1, MOST_INT)
    return call(channel.MODEL_READY, (text("is_model_ready: the model's name", model_name), number))


def _message(request, decoupled):
    if not context.executing:
        raise TritonModelException("BLS is only supported during the 'execute' function.")
    if request._id is not None or request._parameters is None:
        raise TritonModelException("exec: only an InferenceRequest that the model has made itself can be sent")
    copies = []
    parts, _ = core.encode(request._inputs, None, copies, 0)
    return (request._model_name, request._model_version, request._request_id, request._correlation_id, request._flags, request._timeout,
            request._parameters, request._requested, parts, bool(decoupled), parent.get()), copies


def _response(answer):
    block, at, (_, _, error, result) = answer
    if error is not None:
        return InferenceResponse(error=TritonError(error[1], error[0]))
    if result is None:
        return InferenceResponse([])
    response = InferenceResponse(core.tensors(result[1], block, at))
    response._parameters = result[0]
    return response


class ResponseIterator:
    """The responses of a decoupled model, as they come; the last may be empty."""

    def __init__(self, message, copies):
        self._answers, self._ended, self._seen = queue.SimpleQueue(), False, 0
        self._call = _start(channel.INFER, message, copies, self._answers.put)

    def __iter__(self):
        return self

    def __next__(self):
        if self._ended:
            raise StopIteration
        answer = self._answers.get()
        self._ended = answer[2][1]
        self._seen += 1
        if not self._ended and self._seen % CREDIT_EVERY == 0:
            channel.send((channel.CREDIT, self._call, CREDIT_EVERY))
        return _response(answer)

    def cancel(self):
        if not self._ended:
            channel.send((channel.CANCEL, self._call))

    def __del__(self):
        # Nobody reads what is still to come.
        if getattr(self, "_call", 0) and not self._ended:
            _pending.pop(self._call, None)
            channel.send((channel.CANCEL, self._call))


def infer(request, decoupled):
    message, copies = _message(request, decoupled)
    if decoupled:
        return ResponseIterator(message, copies)
    answers = queue.SimpleQueue()
    _start(channel.INFER, message, copies, answers.put)
    return _response(answers.get())


def infer_async(request, decoupled):
    """a future; the call is under way at once"""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    if decoupled:
        future.set_result(infer(request, True))
        return future

    def settle(answer):
        if not future.done():
            future.set_result(_response(answer))

    def ended(done):
        if done.cancelled() and _pending.pop(call, None) is not None:
            channel.send((channel.CANCEL, call))

    message, copies = _message(request, False)
    call = _start(channel.INFER, message, copies, lambda answer: loop.call_soon_threadsafe(settle, answer))
    future.add_done_callback(ended)
    return future

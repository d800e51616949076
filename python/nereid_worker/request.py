"""Requests, responses and senders as models see them."""
import asyncio
import json
import operator
import threading

from nereid_worker import channel, core
from nereid_worker.errors import TritonError, TritonModelException, integer, text
from nereid_worker.tensor import PreferredMemory, Tensor

SEQUENCE_START, SEQUENCE_END = 1, 2
COMPLETE_FINAL = 1
RELEASE_ALL, RELEASE_RESCHEDULE = 1, 2
MOST_INT, MOST_UINT = (1 << 63) - 1, (1 << 64) - 1


class InferenceTrace:
    """A request's trace; there is none to follow yet."""

    __slots__ = ("_context",)

    def __init__(self, context=None):
        self._context = context

    def get_context(self):
        return self._context


class InferenceRequest(core.Request):
    """One that the server sent to execute(), which core.requests makes, or one that a model makes to call another model. The fields, None until
    they are set, are in request.c; _id tells the two apart."""

    __slots__ = ("__weakref__",)

    def __init__(self, request_id="", correlation_id=0, inputs=None, requested_output_names=None, model_name=None, model_version=-1,
                 flags=0, timeout=0, preferred_memory=None, trace=None, parameters=None):
        if inputs is None or requested_output_names is None or model_name is None:
            raise TypeError("InferenceRequest needs inputs, requested_output_names and model_name")
        if isinstance(correlation_id, (bool, float)) or correlation_id is None:
            raise TritonModelException("Correlation ID must be integer or string")
        if not isinstance(correlation_id, str):
            correlation_id = integer("InferenceRequest: correlation_id", correlation_id, 0, MOST_UINT)
        if not all(isinstance(each, Tensor) for each in inputs):
            raise TypeError("InferenceRequest: inputs must be a list of pb_utils.Tensor")
        self._request_id = text("InferenceRequest: request_id", request_id)
        self._correlation_id, self._inputs = correlation_id, list(inputs)
        self._requested = [text("InferenceRequest: a requested output's name", each) for each in requested_output_names]
        self._model_name = text("InferenceRequest: model_name", model_name)
        self._model_version = integer("InferenceRequest: model_version", model_version, -1, MOST_INT)
        self.set_flags(flags)
        self._timeout = integer("InferenceRequest: timeout", timeout, 0, MOST_UINT)
        self._preferred_memory = PreferredMemory(0) if preferred_memory is None else preferred_memory
        self._trace = InferenceTrace() if trace is None else trace
        self._parameters = json.dumps(parameters_of(parameters)) if parameters else ""

    def inputs(self):
        return self._inputs

    def request_id(self):
        return self._request_id

    def correlation_id(self):
        return self._correlation_id

    def flags(self):
        return self._flags

    def set_flags(self, flags):
        self._flags = integer("InferenceRequest: flags", flags, 0, MOST_INT)

    def timeout(self):
        return self._timeout

    def parameters(self):
        return self._parameters or "{}"

    def trace(self):
        return InferenceTrace() if self._id is not None else self._trace

    def requested_output_names(self):
        return set(self._requested)

    def preferred_memory(self):
        return PreferredMemory(0) if self._id is not None else self._preferred_memory

    def model_name(self):
        return self._context.model_name if self._id is not None else self._model_name

    def model_version(self):
        return self._context.model_version if self._id is not None else self._model_version

    def is_cancelled(self):
        if self._id is None:
            return False
        return self._watch().seen()

    def _watch(self):
        if self._cancellation is None:
            self._cancellation = Cancellation(self._id, self._cell)
        return self._cancellation

    def get_response_sender(self):
        if self._sender is None:
            self._sender = InferenceResponseSender(self)
        return self._sender

    def set_release_flags(self, flags):
        if flags not in (RELEASE_ALL, RELEASE_RESCHEDULE):
            raise TritonModelException("Unable to set release flags. Unsupported flag provided.")
        self._release = flags

    def exec(self, decoupled=False):
        from nereid_worker import calls
        return calls.infer(self, decoupled)

    def async_exec(self, decoupled=False):
        from nereid_worker import calls
        return calls.infer_async(self, decoupled)


class Cancellation:
    """Whether nobody waits for a request any more."""

    __slots__ = ("_id", "_cell", "_watched")

    def __init__(self, id, cell):
        self._id, self._cell, self._watched = id, cell, False

    def seen(self):
        if self._watched:
            return core.cancelled(self._cell, self._id)
        # Asked once; from then on the server keeps the request's cell up to date.
        self._watched = True
        from nereid_worker import calls
        return calls.call(channel.WATCH, self._id)


def parameters_of(parameters):
    """checked: names to bool, int, float or str"""
    if not isinstance(parameters, dict):
        raise TritonModelException("parameters must be a dict of str to bool, int, float or str")
    for key, value in parameters.items():
        if not isinstance(key, str):
            raise TritonModelException("Expect parameters keys to have type str, found type <class '%s'>" % type(key).__name__)
        if not isinstance(value, (bool, int, float, str)):
            raise TritonModelException(
                "Expect parameters values to have type bool/int/str, found type <class '%s'>" % type(value).__name__)
    return parameters


def _checked(output_tensors, error, parameters):
    """what a response holds that is not just a list of tensors"""
    if error is not None and not isinstance(error, TritonError):
        raise TypeError("InferenceResponse: error must be a TritonError, not %s" % type(error).__name__)
    tensors = [] if error is not None or output_tensors is None else list(output_tensors)
    for each in tensors:
        if not isinstance(each, Tensor):
            raise TypeError("InferenceResponse: output_tensors must hold pb_utils.Tensor objects, not %s" % type(each).__name__)
    return tensors, error, json.dumps(parameters_of(parameters)) if parameters else ""


class InferenceResponse(core.Response):
    """The fields (_tensors, _error, _parameters) and making one are in request.c."""

    __slots__ = ("__weakref__",)

    def output_tensors(self):
        return self._tensors

    def has_error(self):
        return self._error is not None

    def error(self):
        return self._error

    def parameters(self):
        return self._parameters or "{}"

    def _encode(self, requested, copies, at):
        """(error or None, parameters, outputs) and where the next tensor starts; those without error mostly take the way of core.answer"""
        if self._error is not None:
            return ((self._error._code, self._error._message), "", ()), at
        parts, at = core.encode(self._tensors, requested, copies, at)
        return (None, self._parameters, parts), at


core.use_request(InferenceRequest, InferenceResponse, _checked)


class InferenceResponseSender:
    """Sends the responses of one request, from any thread, also after execute() has returned."""

    # No request: it has this, and who lets go of both is to be seen at once.
    __slots__ = ("_id", "_cell", "_event", "_requested", "_context", "_cancellation", "_lock", "_closed", "_sent", "_left", "__weakref__")

    def __init__(self, request):
        self._left, self._closed = False, True
        if not isinstance(request, InferenceRequest) or request._id is None:
            raise TritonModelException("get_response_sender: only a request that execute() was given has a response sender")
        self._id, self._cell, self._event, self._requested = request._id, request._cell, request._event, request._requested
        self._context = request._context
        self._cancellation = request._watch()
        self._lock = threading.Lock()
        self._closed = False
        self._sent = 0

    def __del__(self):
        # Without the last word its client would wait for ever.
        if self._left and not self._closed and self._context.executing:
            self._closed = True
            error = TritonError(self._context.failed("the model let go of the response sender without TRITONSERVER_RESPONSE_COMPLETE_FINAL"))
            encoded, _ = InferenceResponse(error=error)._encode((), [], 0)
            channel.send((channel.RESPONSE, self._id, COMPLETE_FINAL, encoded), None, self._event)

    def is_cancelled(self):
        return self._cancellation.seen()

    def send(self, response=None, flags=0):
        flags = int(operator.index(flags))
        if flags not in (0, COMPLETE_FINAL):
            raise TritonModelException("Unable to send response. Unsupported flag provided.")
        if response is None and flags == 0:
            raise TritonModelException("Inference Response object must be provided when the response flags is set to zero.")
        if response is not None and not isinstance(response, InferenceResponse):
            raise TypeError("send: an InferenceResponse is expected, not %s" % type(response).__name__)
        with self._lock:
            if self._closed:
                raise TritonModelException("Unable to send response. Response sender has been closed.")
            if not self._context.decoupled:
                if response is not None and self._sent:
                    raise TritonModelException("Unable to send response. Non-decoupled model cannot send more than one response.")
                if response is None and not self._sent:
                    raise TritonModelException("Unable to send response. Non-decoupled model cannot send complete final before sending a response.")
            if asyncio._get_running_loop() is None:  # an event loop has others to serve
                core.await_room(self._cell, self._id)
            copies = []
            encoded = None if response is None else response._encode(self._requested, copies, 0)[0]
            channel.send((channel.RESPONSE, self._id, flags, encoded), copies, self._event)
            if response is not None:
                self._sent += 1
            if flags == COMPLETE_FINAL:
                self._closed = True

    def _close(self):
        """so that nobody speaks for a request that was answered otherwise"""
        with self._lock:
            self._closed = True

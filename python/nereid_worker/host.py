"""Runs one model.py: takes the server's calls one by one and answers each."""
import asyncio
import faulthandler
import importlib.util
import inspect
import os
import resource
import signal
import sys
import threading
import time
import types

from nereid_worker import calls, channel, core
from nereid_worker.errors import Refusal, TritonError, describe
from nereid_worker.model_config import ModelConfig
from nereid_worker.request import RELEASE_RESCHEDULE, InferenceRequest, InferenceResponse
from nereid_worker.tensor import block_at

CONTROL, SERVER_REGION, OWN_REGION, LIFE, LAST_WORDS, FIRST_EVENT = range(3, 9)  # descriptors the server hands in
TRIM_SECONDS = 5.0


class Context:
    """What requests know of the model that they are for."""

    def __init__(self, name, folder):
        self.model_name, self.model_version, self.decoupled = "", -1, False
        self.name, self.folder = name, folder  # of the instance; where model.py lies
        self.executing = False

    def failed(self, text):
        return "Failed to process the request(s) for model '%s', message: %s" % (self.name, text)


class Host:
    def __init__(self, name, folder, file):
        self.file = file
        self.model = self.type = self.loop = None
        self.loop_lock = threading.Lock()
        self.context = calls.context = Context(name, folder)

    # ------------------------------------------------------------- the calls

    def path(self):
        return os.path.join(self.context.folder, self.file)

    def load_type(self):
        if self.type is not None:
            return
        # As Triton does: the module VERSION.model, in whose package relative imports are made; and what lies beside it, after all else.
        folder = self.context.folder
        sys.path += [folder, os.path.dirname(folder)]
        path = self.path()
        package = os.path.basename(folder)
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [folder]
        spec = importlib.util.spec_from_file_location("%s.%s" % (package, os.path.splitext(os.path.basename(self.file))[0]), path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        if not hasattr(module, "TritonPythonModel"):
            raise Refusal("'%s' has no class TritonPythonModel" % path)
        self.type = module.TritonPythonModel

    def auto_complete(self, config, model):
        self.load_type()
        if not hasattr(self.type, "auto_complete_config"):
            return None
        completed = self.type.auto_complete_config(ModelConfig(config))
        if not isinstance(completed, ModelConfig):
            raise Refusal("auto_complete_config function in model '%s' must return a valid pb.ModelConfig object." % model)
        return completed._text()

    def initialize(self, name, arguments, decoupled):
        arguments = dict(arguments)
        self.context.name = name
        self.context.model_name = arguments["model_name"]
        self.context.model_version = int(arguments["model_version"])
        self.context.decoupled = decoupled
        self.load_type()
        if not callable(getattr(self.type, "execute", None)):
            raise Refusal("the class TritonPythonModel of '%s' has no function execute" % self.path())
        self.model = self.type()
        if hasattr(self.model, "initialize"):
            self.model.initialize(arguments)
        self.context.executing = True
        if not hasattr(self.model, "is_ready"):
            return False
        calls.answer_readiness(self.is_ready)
        return True

    def is_ready(self):
        try:
            ready = self.model.is_ready()
            if inspect.iscoroutine(ready):
                ready = self.run(ready)
            if not isinstance(ready, bool):
                raise Refusal("is_ready() must return a boolean value")
            return ready, ""
        except BaseException as failure:  # there is one thread for these calls
            return False, describe(failure)

    def finalize(self):
        self.context.executing = False
        if self.model is not None and hasattr(self.model, "finalize"):
            self.model.finalize()

    def execute(self, block, at, wires):
        context = self.context
        requests = core.requests(wires, block, at, context)
        calls.parent.set(requests[0]._id if len(requests) == 1 else 0)
        try:
            responses = self.model.execute(requests)
            if context.decoupled or type(responses) is not list:
                if inspect.iscoroutine(responses):
                    if context.decoupled:
                        self.leave(requests)
                        self.run_later(responses, requests)
                        return self.done([None] * len(requests))
                    responses = self.run(responses)
                if responses is None or context.decoupled:
                    return self.done(self.left_to_senders(responses, requests))
            return core.answer(requests, responses) or self.done(*self.encode(responses, requests))
        except BaseException:
            for request in requests:
                if request._sender is not None:
                    request._sender._close()
            raise

    # ------------------------------------------------------------- what execute returned

    def encode(self, responses, requests):
        if not isinstance(responses, list):
            raise Refusal("Expected a list in the execute return, found type '%s'." % type(responses))
        if len(responses) != len(requests):
            raise Refusal(
                "Number of InferenceResponse objects do not match the number of InferenceRequest objects. InferenceRequest(s) size is:%d, "
                "and InferenceResponse(s) size is:%d\n" % (len(requests), len(responses)))
        encoded, copies, at = [], [], 0
        for request, response in zip(requests, responses):
            if isinstance(response, InferenceResponse):
                part, at = response._encode(request._requested, copies, at)
                encoded.append(part)
            elif response is None and request._release == RELEASE_RESCHEDULE:
                encoded.append(self.not_rescheduled())
            elif response is None and request._sender is not None:
                encoded.append(None)
                self.leave((request,))
            else:
                raise Refusal(
                    "Expected an 'InferenceResponse' object in the execute function return list, found type '%s'." % type(response))
        return encoded, copies

    def left_to_senders(self, responses, requests):
        """nothing was returned: each request is answered through its sender, or at once when it has none"""
        if responses is not None:
            raise Refusal("Python model '%s' is using the decoupled mode and the execute function must return None." % self.context.name)
        encoded = []
        for request in requests:
            if request._release == RELEASE_RESCHEDULE:
                encoded.append(self.not_rescheduled())
            elif self.context.decoupled or request._sender is not None:  # a decoupled model may ask for it later
                encoded.append(None)
                self.leave((request,))
            else:
                encoded.append(self.error("the execute function returned None and has not asked for the request's response sender"))
        return encoded

    def not_rescheduled(self):
        return self.error("Request is released with TRITONSERVER_REQUEST_RELEASE_RESCHEDULE, while the model is not configured to handle "
                          "such a flag.")

    def error(self, text):
        return (TritonError.INTERNAL, self.context.failed(text)), "", ()

    def leave(self, requests):
        for request in requests:
            request.get_response_sender()._left = True

    # ------------------------------------------------------------- coroutines

    def event_loop(self):
        with self.loop_lock:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                threading.Thread(target=self.loop.run_forever, name="nereid-asyncio", daemon=True).start()
        return self.loop

    def run(self, coroutine):
        result, failure = asyncio.run_coroutine_threadsafe(caught(coroutine), self.event_loop()).result()
        if failure is not None:
            raise failure
        return result

    def run_later(self, coroutine, requests):
        senders = [request.get_response_sender() for request in requests]

        def ended(future):
            failure = future.result()[1]
            for sender in senders if failure is not None else ():
                if not sender._closed:
                    sender.send(InferenceResponse(error=TritonError(self.context.failed(describe(failure)))), flags=1)

        asyncio.run_coroutine_threadsafe(caught(coroutine), self.event_loop()).add_done_callback(ended)

    # ------------------------------------------------------------- the loop

    def done(self, result, copies=()):
        """a call's answer, ready to be pushed"""
        return core.prepare((channel.DONE, None, result), list(copies))

    def failed(self, failure):
        return core.prepare((channel.DONE, describe(failure), None), [])

    def answer(self, block, at, message):
        kind = message[0]
        if kind == channel.EXECUTE:
            return self.execute(block, at, message[2])
        if kind == channel.INITIALIZE:
            return self.done(self.initialize(*message[1:]))
        if kind == channel.AUTO_COMPLETE:
            return self.done(self.auto_complete(*message[1:]))
        return self.done(self.finalize())

    def serve(self):
        channel.send((channel.DONE, None, None))  # up
        dirty, trimmed = False, 0.0
        while True:
            call = core.wait_call(TRIM_SECONDS if dirty else -1.0)
            if call is None:
                dirty = core.trim()
                continue
            dirty = True
            content, at, message = call
            block = block_at(content)
            kind = message[0]
            event = message[1] if kind == channel.EXECUTE else 0
            leaving = None
            try:
                answer = self.answer(block, at, message)
            except BaseException as failure:
                answer = self.failed(failure)
                if not isinstance(failure, Exception):
                    leaving = failure
            call = message = block = None  # given back before the answer leaves
            core.push(answer, event)
            if leaving is not None:
                leave(leaving)
            if kind == channel.FINALIZE:
                return
            now = time.monotonic()
            if now - trimmed > TRIM_SECONDS:
                core.trim()
                trimmed = now


async def caught(coroutine):
    """(result, None) or (None, failure): what is no Exception must not end the event loop, in which others run"""
    try:
        return await coroutine, None
    except BaseException as failure:
        return None, failure


def leave(failure):
    """ends the process at once, whatever threads the model has"""
    code = failure.code if isinstance(failure, SystemExit) else 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit((code or 0) & 255)


def limit_memory(limit):
    if limit > 0:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        # When the machine runs out of memory, a worker goes before the server does.
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass


def run(arguments):
    name, folder, file, sizes, memory_limit, events = arguments
    initial, growth, most = (int(each) for each in sizes.split(","))
    for each in range(CONTROL, FIRST_EVENT + int(events)):
        os.set_inheritable(each, False)
    channel.attach(CONTROL, SERVER_REGION, OWN_REGION, LIFE, FIRST_EVENT, int(events), initial, growth, most)
    faulthandler.enable(file=LAST_WORDS)
    # The server asks where a worker hangs before it kills it.
    faulthandler.register(signal.SIGUSR2, file=LAST_WORDS, all_threads=True)
    # Whole lines, also under PYTHONUNBUFFERED, which would let the server's log lines into the middle of one.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, write_through=False)
    limit_memory(int(memory_limit))
    Host(name, folder, file).serve()

"""Messages to and from the server. The numbers are those of src/backends/python/messages.h."""
import numpy as np

from nereid_worker import core, tensor
from nereid_worker.errors import TritonModelException

# calls of the server
AUTO_COMPLETE, INITIALIZE, EXECUTE, FINALIZE = range(4)
# messages of the worker
DONE, RESPONSE, WATCH, LOG, READY, METRIC, INFER, CANCEL, CREDIT, LOAD, UNLOAD, MODEL_READY = range(12)
# a reply to this call asks whether the model is ready
ASK_READY = 0


def attach(control, server, own, life, first_event, events, initial, growth, most):
    global _own
    tensor.in_region, out_region = core.attach(control, server, own, life, first_event, events, initial, growth, most, _fill)
    _own = tensor.Block.from_address(out_region)


def _fill(array, at, size):
    room = np.ndarray(array.shape, array.dtype, _own, at)
    if room.nbytes != size:
        raise TritonModelException("the array of a Tensor was resized while it was sent")
    np.copyto(room, array)


def send(message, copies=None, event=0):
    """`copies` are what core.encode has collected; the thread of the server that waits for `event` reads it."""
    core.push(core.prepare(message, copies or []), event)

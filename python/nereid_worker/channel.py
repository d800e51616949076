"""Messages to and from the server. The numbers are those of src/backends/python/messages.h."""
import numpy as np

from nereid_worker import core
from nereid_worker.tensor import Block, Tensor

# calls of the server
AUTO_COMPLETE, INITIALIZE, EXECUTE, FINALIZE = range(4)
# messages of the worker
DONE, RESPONSE, WATCH, LOG, READY, METRIC, INFER, CANCEL, CREDIT, LOAD, UNLOAD, MODEL_READY = range(12)
# a reply to this call asks whether the model is ready
ASK_READY = 0

in_region = out_region = 0  # addresses


class OutRegion(Block):
    """Our own region: nothing is given back."""

    def __del__(self):
        pass


def attach(control, server, own, life, first_event, events, initial, growth, most):
    global in_region, out_region, _own
    in_region, out_region = core.attach(control, server, own, life, first_event, events, initial, growth, most)
    _own = OutRegion.from_address(out_region)


def block_at(content):
    block = Block.from_address(in_region)
    block.content = content
    return block


def send(message, tensors=(), event=0):
    """`tensors` are what Tensor._encode appended; the thread of the server that waits for `event` reads it."""
    items = [each.nbytes if isinstance(each, np.ndarray) else each for each in tensors]
    content, at = core.begin(message, items)
    for each, item in zip(tensors, items):
        if isinstance(each, np.ndarray):
            np.copyto(np.ndarray(each.shape, each.dtype, _own, at), each)
            at += (item + 63) & ~63
        elif isinstance(item, bytes):
            at += (len(item) + 63) & ~63
        else:
            at += (core.wire_size(item) + 63) & ~63
    core.push(content, event)


def tensors_of(parts, block, at):
    """the tensors of a message of the server: behind it in its block, or each in one of its own"""
    return [Tensor._of_memory(name, datatype, shape, block_at(own) if own else block, (own or at) + offset, size)
            for name, datatype, shape, offset, size, own in parts]

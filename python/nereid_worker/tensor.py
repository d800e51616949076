"""Tensors: views of the server's memory on the way in, arrays of the model on the way out."""
import ctypes
import math
import struct

import numpy as np

from nereid_worker import core
from nereid_worker import datatypes as dt
from nereid_worker.errors import TritonModelException, text


class Block(ctypes.Array):
    """A block in the server's region: of a message, or of a tensor. Arrays made of it keep it, and it the core.Hold that gives it back."""

    _type_ = ctypes.c_char
    _length_ = 1 << 46


in_region = 0  # its address; set by channel.attach


def block_at(content):
    block = Block.from_address(in_region)
    block.hold = core.Hold(content)
    return block


class Foreign(ctypes.Array):
    """Memory that somebody else's DLPack capsule owns."""

    _type_ = ctypes.c_char
    _length_ = 1 << 46


class PreferredMemory:
    def __init__(self, preferred_memory_type, preferred_device_id=0):
        self.preferred_memory_type, self.preferred_device_id = preferred_memory_type, preferred_device_id


def checked_name(name):
    if not text("Tensor: the name", name):
        raise TritonModelException("the name of a Tensor must not be empty")
    return name


class Tensor(core.Tensor):
    """What is rarely asked for; making one, as_numpy() and the fields (_name, _datatype, _shape, _array or _memory, _offset, _size) are in
    tensor.c."""

    __slots__ = ()

    def name(self):
        return self._name

    def triton_dtype(self):
        return self._datatype

    def shape(self):
        return list(self._shape)

    def is_cpu(self):
        return True

    def _address(self):
        if self._memory is not None:
            return ctypes.addressof(self._memory) + self._offset, self._memory
        array = np.ascontiguousarray(self._array, self._array.dtype.newbyteorder("="))
        return array.ctypes.data, array

    def to_dlpack(self):
        return self.__dlpack__()

    def __dlpack__(self, stream=None, *, max_version=None, dl_device=None, copy=None):
        code = dt.TO_DLPACK.get(self._datatype)
        if code is None:
            raise TritonModelException("DLPack does not have support for string tensors.")
        address, owner = self._address()
        return core.to_dlpack(owner, address, code[0], code[1], tuple(self._shape))

    def __dlpack_device__(self):
        return (1, 0)

    @staticmethod
    def from_dlpack(name, tensor):
        if hasattr(tensor, "__dlpack__"):
            tensor = tensor.__dlpack__()
        owner, address, code, bits, shape, contiguous, device = core.from_dlpack(tensor)
        if device not in (1, 3):
            raise TritonModelException("Tensor '%s': this build takes DLPack tensors in CPU memory only" % name)
        if not contiguous:
            raise TritonModelException(
                "DLPack tensor is not contiguous. Only contiguous DLPack tensors that are stored in C-Order are supported.")
        datatype = dt.OF_DLPACK.get((code, bits))
        if datatype is None:
            raise TritonModelException("Tensor '%s': DLPack type %d of %d bits has no Triton datatype" % (name, code, bits))
        count = 1
        for dim in shape:
            count *= dim
        memory = Foreign.from_address(address) if address else Foreign.from_address(ctypes.addressof(_NOTHING))
        memory.owner = owner
        return core.tensor_of(checked_name(name), datatype, shape, memory, 0, count * bits // 8)


_NOTHING = ctypes.c_char()


def _checked(name, array):
    """the datatype of a new tensor that is not as most are, or what is wrong with it"""
    if not isinstance(array, np.ndarray):
        raise TypeError("Tensor %r: a numpy.ndarray is expected, not %s" % (name, type(array).__name__))
    datatype = dt.of_numpy(array.dtype)
    if datatype is None:
        raise TritonModelException("Tensor '%s' has the unsupported NumPy dtype '%s'" % (name, array.dtype))
    checked_name(name)
    return datatype


def _made(tensor):
    """the array of a tensor whose elements NumPy cannot see in its memory"""
    if tensor._datatype != dt.BYTES:
        raise TritonModelException("tensor dtype is %s and cannot be converted to numpy." % dt.NAMES[tensor._datatype].lower())
    elements = core.split(ctypes.addressof(tensor._memory) + tensor._offset, tensor._size)
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = elements
    return array.reshape(tensor._shape)


def _encoded(tensor, copies):
    """appends what core.prepare copies for a tensor that has no array, or one whose bytes are not those of the wire; their number"""
    if tensor._array is None:
        copies.append(np.ndarray((tensor._size,), np.uint8, tensor._memory, tensor._offset))
        return tensor._size
    array = np.ndarray.view(tensor._array, np.ndarray)  # what a model's subclass says of itself does not count
    if array.size != math.prod(tensor._shape):
        raise TritonModelException("the array of Tensor '%s' was resized: it has %d elements, its shape is %s" % (tensor._name, array.size, tensor._shape))
    if tensor._datatype == dt.BYTES:
        elements = array.ravel().tolist()
        copies.append(elements)
        return core.wire_size(elements)
    array = array.astype(dt.TO_NUMPY[tensor._datatype], copy=False)
    copies.append(array)
    return array.nbytes


core.use_tensor(Tensor, np.ndarray, tuple(dt.TO_NUMPY.get(number) for number in range(len(dt.NAMES))), dt.OF_NUMPY, _checked, _made, _encoded,
                block_at)


def serialize_byte_tensor(input_tensor):
    """the wire form of a BYTES tensor; None for an array of anything else"""
    if input_tensor.dtype.kind not in "OS":
        return None
    out = []
    for element in input_tensor.ravel().tolist():
        data = element if isinstance(element, bytes) else str(element).encode("utf-8")
        out.append(len(data).to_bytes(4, "little") + data)
    return b"".join(out)


def deserialize_bytes_tensor(encoded_tensor):
    """the elements of a BYTES tensor's wire form"""
    elements, at = [], 0
    while at < len(encoded_tensor):
        (length,) = struct.unpack_from("<I", encoded_tensor, at)
        elements += struct.unpack_from("<%ds" % length, encoded_tensor, at + 4)
        at += 4 + length
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = elements
    return array

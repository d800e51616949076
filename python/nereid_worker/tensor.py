"""Tensors: views of the server's memory on the way in, arrays of the model on the way out."""
import ctypes
import struct

import numpy as np

from nereid_worker import core
from nereid_worker import datatypes as dt
from nereid_worker.errors import TritonModelException, text


class Block(ctypes.Array):
    """A block in the server's region: of a message, or of a tensor. Arrays made of it keep it; the last of them gives it back."""

    _type_ = ctypes.c_char
    _length_ = 1 << 46

    def __del__(self):
        core.release(self.content)


class Foreign(ctypes.Array):
    """Memory that somebody else's DLPack capsule owns."""

    _type_ = ctypes.c_char
    _length_ = 1 << 46


class PreferredMemory:
    def __init__(self, preferred_memory_type, preferred_device_id=0):
        self.preferred_memory_type, self.preferred_device_id = preferred_memory_type, preferred_device_id


# Copying so little into the message at once is cheaper than a second look at it.
SMALL = 4096


def checked_name(name):
    if not text("Tensor: the name", name):
        raise TritonModelException("the name of a Tensor must not be empty")
    return name


class Tensor:
    __slots__ = ("_name", "_datatype", "_shape", "_array", "_memory", "_offset", "_size")

    def __init__(self, name, numpy_array):
        if not isinstance(numpy_array, np.ndarray):
            raise TypeError("Tensor %r: a numpy.ndarray is expected, not %s" % (name, type(numpy_array).__name__))
        datatype = dt.OF_NUMPY.get(numpy_array.dtype) or dt.of_numpy(numpy_array.dtype)
        if datatype is None:
            raise TritonModelException("Tensor '%s' has the unsupported NumPy dtype '%s'" % (name, numpy_array.dtype))
        self._name = checked_name(name)
        self._datatype = datatype
        self._shape = numpy_array.shape
        self._array = numpy_array
        self._memory = None

    @classmethod
    def _of_memory(cls, name, datatype, shape, memory, offset, size):
        """a tensor whose bytes lie at memory[offset:offset + size]"""
        self = cls.__new__(cls)
        self._name, self._datatype, self._shape = name, datatype, shape
        self._array = None
        self._memory, self._offset, self._size = memory, offset, size
        return self

    def name(self):
        return self._name

    def triton_dtype(self):
        return self._datatype

    def shape(self):
        return list(self._shape)

    def is_cpu(self):
        return True

    def as_numpy(self):
        if self._array is None:
            dtype = dt.TO_NUMPY.get(self._datatype)
            if dtype is None:
                raise TritonModelException(
                    "tensor dtype is %s and cannot be converted to numpy." % dt.NAMES[self._datatype].lower())
            if self._datatype == dt.BYTES:
                elements = core.split(ctypes.addressof(self._memory) + self._offset, self._size)
                array = np.empty(len(elements), dtype=np.object_)
                array[:] = elements
                self._array = array.reshape(self._shape)
            else:
                self._array = np.ndarray(self._shape, dtype, self._memory, self._offset)
        return self._array

    def _address(self):
        if self._memory is not None:
            return ctypes.addressof(self._memory) + self._offset, self._memory
        array = self._array
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
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
        return Tensor._of_memory(checked_name(name), datatype, shape, memory, 0, count * bits // 8)

    def _encode(self, tensors, at):
        """Appends what core.begin copies (or the array that is copied after it) and returns this tensor's part of the message and where
        the next one starts."""
        array = self._array
        if array is None:
            size = self._size
            if size <= SMALL:
                tensors.append(ctypes.string_at(ctypes.addressof(self._memory) + self._offset, size))
            else:
                tensors.append(np.ndarray((size,), np.uint8, self._memory, self._offset))
        elif self._datatype == dt.BYTES:
            elements = array.ravel().tolist()
            size = core.wire_size(elements)
            tensors.append(elements)
        else:
            size = array.nbytes
            if not array.dtype.isnative:
                array = array.astype(array.dtype.newbyteorder("="))
            tensors.append(array.tobytes() if size <= SMALL else array)
        return (self._name, self._datatype, self._shape, at, size), (at + size + 63) & ~63


_NOTHING = ctypes.c_char()


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

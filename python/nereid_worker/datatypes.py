"""Triton's datatypes: numbers as on the wire, names, NumPy types, DLPack codes."""
import numpy as np

INVALID, BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, FP32, FP64, BYTES, BF16 = range(15)

NAMES = ("<invalid>", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES", "BF16")

TO_NUMPY = {
    BOOL: np.dtype(np.bool_), UINT8: np.dtype(np.uint8), UINT16: np.dtype(np.uint16), UINT32: np.dtype(np.uint32),
    UINT64: np.dtype(np.uint64), INT8: np.dtype(np.int8), INT16: np.dtype(np.int16), INT32: np.dtype(np.int32),
    INT64: np.dtype(np.int64), FP16: np.dtype(np.float16), FP32: np.dtype(np.float32), FP64: np.dtype(np.float64),
    BYTES: np.dtype(np.object_)}

OF_NUMPY = {dtype: number for number, dtype in TO_NUMPY.items()}

# code and bits
TO_DLPACK = {
    BOOL: (6, 8), UINT8: (1, 8), UINT16: (1, 16), UINT32: (1, 32), UINT64: (1, 64), INT8: (0, 8), INT16: (0, 16), INT32: (0, 32),
    INT64: (0, 64), FP16: (2, 16), FP32: (2, 32), FP64: (2, 64), BF16: (4, 16)}
OF_DLPACK = {code: number for number, code in TO_DLPACK.items()}


def of_numpy(dtype):
    """the datatype of arrays of `dtype`; None when there is none"""
    number = OF_NUMPY.get(dtype)
    if number is None and (dtype.kind in "SU" or not dtype.isnative and (number := OF_NUMPY.get(dtype.newbyteorder("="))) is None):
        return BYTES if dtype.kind in "SU" else None
    return number

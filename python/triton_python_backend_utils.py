"""The module that a model.py imports: Triton's names, Nereid's worker behind them."""
import numpy as np

from nereid_worker import calls as _calls
from nereid_worker import datatypes as _dt
from nereid_worker.calls import ResponseIterator, is_model_ready, load_model, unload_model
from nereid_worker.errors import TritonError, TritonModelException
from nereid_worker.logger import Logger, LogLevel
from nereid_worker.metrics import Metric, MetricFamily
from nereid_worker.model_config import (
    ModelConfig, get_input_config_by_name, get_output_config_by_name, using_decoupled_model_transaction_policy)
from nereid_worker.request import InferenceRequest, InferenceResponse, InferenceResponseSender, InferenceTrace
from nereid_worker.tensor import PreferredMemory, Tensor, deserialize_bytes_tensor, serialize_byte_tensor

TRITONSERVER_REQUEST_FLAG_SEQUENCE_START = 1
TRITONSERVER_REQUEST_FLAG_SEQUENCE_END = 2
TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1
TRITONSERVER_REQUEST_RELEASE_ALL = 1
TRITONSERVER_REQUEST_RELEASE_RESCHEDULE = 2
TRITONSERVER_MEMORY_CPU = 0
TRITONSERVER_MEMORY_GPU = 2

TRITON_STRING_TO_NUMPY = {"TYPE_" + ("STRING" if number == _dt.BYTES else _dt.NAMES[number]): dtype.type
                          for number, dtype in _dt.TO_NUMPY.items()}
TRITON_STRING_TO_NUMPY["TYPE_BOOL"] = bool
TRITON_STRING_TO_NUMPY["TYPE_STRING"] = np.object_


def get_model_dir():
    """the folder of the version, where model.py lies"""
    return _calls.context.folder


def get_input_tensor_by_name(inference_request, name):
    for tensor in inference_request._inputs:
        if tensor._name == name:
            return tensor
    return None


def get_output_tensor_by_name(inference_response, name):
    for tensor in inference_response._tensors:
        if tensor._name == name:
            return tensor
    return None


def triton_to_numpy_type(data_type):
    """of a datatype's number; None when NumPy has none (BF16)"""
    found = _dt.TO_NUMPY.get(data_type)
    return None if found is None else found.type


def numpy_to_triton_type(data_type):
    """the datatype's number; None when there is none"""
    return _dt.of_numpy(np.dtype(data_type))


def triton_string_to_numpy(triton_type_string):
    """of a name as a model's configuration has it: TYPE_FP32"""
    return TRITON_STRING_TO_NUMPY[triton_type_string]

// The backend `onnxruntime`: ONNX files on ONNX Runtime, whose library is opened at first use.
#pragma once

#include <memory>

#include "api/backend.h"

namespace nereid::onnxruntime {

// Options of --backend-config=onnxruntime,...: `library` (path of libonnxruntime.so), `default-max-batch-size` (4),
// `intra_op_thread_count` (of the pool that all models share; default: the cores). Fails when the library cannot be opened.
//
// Parameters of config.pbtxt: intra_op_thread_count (1: no pool, the instance's own thread computes), and any session option of ONNX
// Runtime whose key starts with "session." or "optimization.".
Result<std::unique_ptr<Backend>> CreateOnnxRuntimeBackend(const BackendWorld& world);

}  // namespace nereid::onnxruntime

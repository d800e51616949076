// ONNX Runtime's C++ API over a library that is opened at run time.
#pragma once

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
#undef ORT_API_MANUAL_INIT

#include <string>

#include "api/tensor.h"
#include "base/status.h"

namespace nereid::onnxruntime {

// Opens the library once a process; later calls answer the same. `path` empty: the one that was built with, then the loader's.
Result<Nothing> OpenLibrary(const std::string& path);
bool HasCuda();

Datatype DatatypeOf(ONNXTensorElementDataType type);  // kInvalid for what KServe does not have
ONNXTensorElementDataType ElementTypeOf(Datatype datatype);

// Runs `work`, which may throw Ort::Exception, and makes an error of what it threw: "`doing`: text".
template <class F>
auto Guarded(std::string_view doing, F work) -> Result<decltype(work())> {
  try {
    return work();
  } catch (const Ort::Exception& error) {
    return Error(Code::kInternal, std::string(doing) + ": " + error.what(), "onnxruntime");
  } catch (const std::exception& error) {
    return Error(Code::kInternal, std::string(doing) + ": " + error.what(), "onnxruntime");
  }
}

}  // namespace nereid::onnxruntime

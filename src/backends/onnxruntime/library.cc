#include "backends/onnxruntime/library.h"

#include <dlfcn.h>

#include <mutex>

#include <fmt/format.h>

namespace nereid::onnxruntime {
namespace {

struct Row {
  Datatype datatype;
  ONNXTensorElementDataType element;
};
constexpr Row kRows[] = {
    {Datatype::kBool, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},     {Datatype::kUint8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {Datatype::kUint16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16}, {Datatype::kUint32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
    {Datatype::kUint64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64}, {Datatype::kInt8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
    {Datatype::kInt16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},   {Datatype::kInt32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {Datatype::kInt64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},   {Datatype::kFp16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {Datatype::kFp32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},    {Datatype::kFp64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},
    {Datatype::kBytes, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING},  {Datatype::kBf16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16}};

std::mutex mutex;
bool opened = false;  // guarded by mutex

}  // namespace

Result<Nothing> OpenLibrary(const std::string& path) {
  std::lock_guard lock(mutex);
  if (opened) return Nothing{};
  std::string tried;
  void* library = nullptr;
  for (const std::string& each :
       path.empty() ? std::vector<std::string>{NEREID_ORT_LIBRARY, "libonnxruntime.so.1"} : std::vector<std::string>{path}) {
    library = ::dlopen(each.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library) break;
    tried += fmt::format("{}{}", tried.empty() ? "" : "; ", ::dlerror());
  }
  if (!library)
    return Error(
        Code::kUnavailable,
        fmt::format("the ONNX Runtime library cannot be opened ({}); name it with --backend-config=onnxruntime,library=PATH", tried),
        "no_library");
  auto* base = reinterpret_cast<const OrtApiBase* (*)()>(::dlsym(library, "OrtGetApiBase"));
  const OrtApi* api = base ? base()->GetApi(ORT_API_VERSION) : nullptr;
  if (!api)
    return Error(Code::kUnavailable,
                 fmt::format("the ONNX Runtime library is too old: it does not have version {} of the API", ORT_API_VERSION), "no_library");
  Ort::InitApi(api);
  opened = true;
  return Nothing{};
}

bool HasCuda() {
  auto providers = Guarded("asking for providers", [] { return Ort::GetAvailableProviders(); });
  return providers && std::find(providers->begin(), providers->end(), "CUDAExecutionProvider") != providers->end();
}

Datatype DatatypeOf(ONNXTensorElementDataType type) {
  for (const Row& row : kRows) {
    if (row.element == type) return row.datatype;
  }
  return Datatype::kInvalid;
}

ONNXTensorElementDataType ElementTypeOf(Datatype datatype) {
  for (const Row& row : kRows) {
    if (row.datatype == datatype) return row.element;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

}  // namespace nereid::onnxruntime

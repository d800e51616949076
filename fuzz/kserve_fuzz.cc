// Bodies of infer and generate calls as a hostile client may send them. What is accepted stays inside the body, and answering it works.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "protocol/kserve/generate.h"
#include "protocol/kserve/infer_request.h"
#include "protocol/kserve/infer_response.h"

namespace {

using namespace nereid;

void CheckTensor(const Tensor& tensor) {
  std::size_t sum = 0;  // reads every byte, so that the sanitizer sees one that lies outside
  for (char byte : tensor.data.view()) sum += static_cast<unsigned char>(byte);
  if (sum == SIZE_MAX) std::abort();
  if (reinterpret_cast<std::uintptr_t>(tensor.data.data()) % std::max<std::size_t>(1, ElementBytes(tensor.datatype)) != 0) std::abort();
}

}  // namespace

// The input: one line with the header length (empty: none), then the body.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t line = text.find('\n');
  if (line == std::string_view::npos) return 0;
  std::string_view length = text.substr(0, line);
  Bytes body = Bytes::Own(std::string(text.substr(line + 1)));
  kserve::InferLimits limits{1 << 20};
  auto parsed = kserve::ParseInferRequest("m", body, length.empty() ? std::nullopt : std::optional(length), limits);
  if (parsed && !parsed->request.raw) {
    for (const Tensor& tensor : parsed->request.inputs) CheckTensor(tensor);
    InferResponse response;
    response.model_name = "m";
    response.client_id = parsed->request.client_id;
    response.parameters = parsed->request.parameters;
    for (const Tensor& tensor : parsed->request.inputs) {
      // What a backend gives out holds what its shape says.
      auto count = ElementCount(tensor.shape);
      if (!count || tensor.datatype == Datatype::kBytes ||
          static_cast<std::uint64_t>(*count) * ElementBytes(tensor.datatype) == tensor.data.size())
        response.outputs.push_back(tensor);
    }
    (void)kserve::RenderInferResponse(response, parsed->outputs, parsed->binary_default, {{"a", {"x", "y"}}}, 1);
    (void)kserve::RenderGenerateResponse(response);
  } else if (!parsed && parsed.error().message.empty()) {
    std::abort();
  }
  ModelInfo model;
  model.inputs = {{"a", Datatype::kBytes, {1}}, {"b", Datatype::kFp32, {-1, 2}}, {"c", Datatype::kUint8, {-1}}};
  auto generate = kserve::ParseGenerateRequest(model, body.view(), limits.json_bytes_max);
  if (generate) {
    for (const Tensor& tensor : generate->inputs) CheckTensor(tensor);
  }
  return 0;
}

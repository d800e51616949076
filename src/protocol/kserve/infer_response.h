// An InferResponse as KServe JSON with binary parts. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/infer.h"
#include "api/model_service.h"
#include "protocol/kserve/infer_request.h"

namespace nereid::kserve {

struct RenderedInfer {
  std::string json;
  std::vector<Bytes> binary;  // follow the JSON in this order
  bool has_binary = false;    // at least one byte of it: the answer is application/octet-stream with the header length
};

// `parsed` says how each output is wanted; `response` has no error.
Result<RenderedInfer> RenderInferResponse(const InferResponse& response, const std::vector<OutputChoice>& outputs, bool binary_default,
                                          const Labels& labels, std::int64_t max_batch_size);

void AppendParameterValue(std::string& out, const ParameterValue& value);

}  // namespace nereid::kserve

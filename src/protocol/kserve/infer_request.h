// POST /v2/models/{m}/infer: the JSON part and the binary parts become an InferRequest. Tensors are slices of the body or freshly written
// wire bytes; there is no document tree. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/infer.h"

namespace nereid::kserve {

// How an output is to be sent.
struct OutputChoice {
  std::string name;
  bool binary = false;               // the request's default is for outputs that are not listed
  std::uint64_t classification = 0;  // the best N classes instead of the numbers; 0: off
};

struct ParsedInfer {
  InferRequest request;               // model, ids and times are the caller's to fill
  std::vector<OutputChoice> outputs;  // as asked for; empty: all
  bool binary_default = false;
};

struct InferLimits {
  std::uint64_t json_bytes_max = 64 << 20;
};

// `header_length`: the value of Inference-Header-Content-Length as it was sent. `tail`: what lies apart from the rest of the body: nothing,
// or all behind the JSON part.
Result<ParsedInfer> ParseInferRequest(std::string_view model, const Bytes& body, std::optional<std::string_view> header_length,
                                      const InferLimits& limits, const Bytes& tail = {});

}  // namespace nereid::kserve

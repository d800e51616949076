// The generate extension: one flat JSON object in, one flat object a response out. Pure.
#pragma once

#include <string>

#include "api/infer.h"
#include "api/model_service.h"

namespace nereid::kserve {

// Members named like an input become tensors, the others request parameters. Errors have Triton's texts.
Result<InferRequest> ParseGenerateRequest(const ModelInfo& model, std::string_view body, std::uint64_t bytes_max);
Result<std::string> RenderGenerateResponse(const InferResponse& response);

}  // namespace nereid::kserve

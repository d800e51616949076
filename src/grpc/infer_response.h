// InferResponse -> ModelInferResponse or ModelStreamInferResponse on the wire; large outputs are handed on, not copied.
#pragma once

#include "api/infer.h"
#include "api/model_service.h"
#include "grpc/framing.h"
#include "grpc/infer_request.h"

namespace nereid::grpc_front {

// What a streamed answer carries beside the response.
struct StreamMark {
  bool final = false;  // triton_final_response
};

// Replaces the outputs that were asked for as classes. Errors as kserve::Classify.
Result<Nothing> ClassifyOutputs(const AnswerOptions& options, const ModelInfo& model, InferResponse& response);

// Fails when the message would be longer than gRPC can carry.
Result<Message> RenderResponse(const InferResponse& response);
Result<Message> RenderStreamResponse(const InferResponse& response, StreamMark mark);
// An error inside a stream. `model` is empty when the request did not get as far as the model.
Message RenderStreamError(const Status& status, const std::string& client_id, const std::string& model, std::optional<StreamMark> mark);
// The mark alone, for a model that ended without a response.
Message RenderStreamEnd(const std::string& client_id, const std::string& model, const std::string& requested_version);

}  // namespace nereid::grpc_front

#include "grpc/infer_response.h"

namespace nereid::grpc_front {

Result<Nothing> Classify(const AnswerOptions&, const ModelInfo&, InferResponse&) {
  return Nothing{};
}

}  // namespace nereid::grpc_front

// ModelInferRequest on the wire -> InferRequest. Tensor bytes are taken where they lie when they can be.
#pragma once

#include "api/infer.h"
#include "grpc/framing.h"

namespace nereid::grpc_front {

// What concerns the answer only.
struct AnswerOptions {
  struct Classification {
    std::string output;
    std::int64_t classes = 0;
  };
  std::vector<Classification> classifications;
  bool empty_final_response = false;  // triton_enable_empty_final_response
  std::string requested_version;      // as sent
};

struct ParsedRequest {
  InferRequest request;
  AnswerOptions answer;
};

// "" is no version (-1); an error for what is no number.
Result<ModelRef> ParseModelRef(const std::string& name, const std::string& version);

// Reads the message in two steps: Open finds its fields, Take makes the request. The tensors own the message.
class RequestReader {
 public:
  RequestReader();
  ~RequestReader();
  RequestReader(RequestReader&&) noexcept;

  // kInvalidArgument for bytes that are no ModelInferRequest.
  Result<Nothing> Open(const Received& message);
  const std::string& model_name() const;
  const std::string& client_id() const;
  Result<ModelRef> Model() const;
  // Errors have Triton's texts.
  Result<ParsedRequest> Take();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace nereid::grpc_front

// Checks a request against a version, in Triton's order and with Triton's texts. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "api/infer.h"
#include "proto/model_config.pb.h"

namespace nereid::models {

// For fmt: "[request id: 7] ", with <id_unknown> when the client sent none. It lives no longer than the request.
struct RequestPrefix {
  const InferRequest& request;
};

// What the checks need of a config, prepared once a version.
class RequestRules {
 public:
  explicit RequestRules(const inference::ModelConfig& config);

  // Completes a raw request (its one tensor gets name, datatype and shape) and checks everything else. `request` is changed only by that.
  Result<Nothing> Check(InferRequest& request) const;

  bool batches() const { return max_batch_size_ > 0; }

 private:
  struct Input {
    std::string name;
    Datatype datatype;
    Shape dims;
    bool optional;
  };
  Result<Nothing> CompleteRaw(InferRequest& request, const RequestPrefix& prefix) const;
  Result<Nothing> CheckCount(const InferRequest& request, const RequestPrefix& prefix) const;
  Result<Nothing> CheckBatch(const InferRequest& request, const RequestPrefix& prefix) const;
  Result<Nothing> CheckTensor(const Input& input, const Tensor& tensor, const RequestPrefix& prefix) const;
  const Input* Find(std::string_view name) const;

  std::string model_;
  std::int64_t max_batch_size_;
  std::vector<Input> inputs_;
  std::size_t required_ = 0;
  std::vector<std::string> outputs_;
};

}  // namespace nereid::models

template <>
struct fmt::formatter<nereid::models::RequestPrefix> : fmt::formatter<std::string_view> {
  auto format(const nereid::models::RequestPrefix& prefix, format_context& context) const {
    const std::string& id = prefix.request.client_id;
    return fmt::format_to(context.out(), "[request id: {}] ", id.empty() ? std::string_view("<id_unknown>") : std::string_view(id));
  }
};

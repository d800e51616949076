// Checks a request against a version, in Triton's order and with Triton's texts. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/infer.h"
#include "proto/model_config.pb.h"

namespace nereid::models {

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
  Result<Nothing> CompleteRaw(InferRequest& request, const std::string& prefix) const;
  Result<Nothing> CheckCount(const InferRequest& request, const std::string& prefix) const;
  Result<Nothing> CheckBatch(const InferRequest& request, const std::string& prefix) const;
  Result<Nothing> CheckTensor(const Input& input, const Tensor& tensor, const std::string& prefix) const;
  const Input* Find(std::string_view name) const;

  std::string model_;
  std::int64_t max_batch_size_;
  std::vector<Input> inputs_;
  std::size_t required_ = 0;
  std::vector<std::string> outputs_;
};

// "[request id: 7] ", with <id_unknown> when the client sent none.
std::string RequestPrefix(const InferRequest& request);

}  // namespace nereid::models

// A config's `reshape`: clients and the model see the same tensor with different dims. Pure.
#pragma once

#include <string>
#include <vector>

#include "api/infer.h"
#include "proto/model_config.pb.h"

namespace nereid::models {

class Reshapes {
 public:
  explicit Reshapes(const inference::ModelConfig& config);

  // Of a checked request.
  void ToModel(InferRequest& request) const;
  // An output whose shape is not what the config says of the model's stays as it is.
  void ToClient(InferResponse& response) const;

 private:
  struct Reshape {
    std::string name;
    Shape client, model;  // without the batch dim
  };
  void Apply(std::vector<Tensor>& tensors, const std::vector<Reshape>& reshapes, Shape Reshape::* from, Shape Reshape::* to) const;

  std::size_t lead_;  // dims before those of the config
  std::vector<Reshape> inputs_, outputs_;
};

}  // namespace nereid::models

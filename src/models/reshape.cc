#include "models/reshape.h"

#include <algorithm>

namespace nereid::models {

Reshapes::Reshapes(const inference::ModelConfig& config) : lead_(config.max_batch_size() > 0 ? 1 : 0) {
  auto read = [](const auto& ios, std::vector<Reshape>& out) {
    for (const auto& io : ios) {
      if (io.has_reshape())
        out.push_back(
            {io.name(), Shape(io.dims().begin(), io.dims().end()), Shape(io.reshape().shape().begin(), io.reshape().shape().end())});
    }
  };
  read(config.input(), inputs_);
  read(config.output(), outputs_);
}

void Reshapes::ToModel(InferRequest& request) const {
  if (!inputs_.empty()) Apply(request.inputs, inputs_, &Reshape::client, &Reshape::model);
}

void Reshapes::ToClient(InferResponse& response) const {
  if (!outputs_.empty()) Apply(response.outputs, outputs_, &Reshape::model, &Reshape::client);
}

void Reshapes::Apply(std::vector<Tensor>& tensors, const std::vector<Reshape>& reshapes, Shape Reshape::* from, Shape Reshape::* to) const {
  for (Tensor& tensor : tensors) {
    auto reshape = std::ranges::find(reshapes, tensor.name, &Reshape::name);
    if (reshape == reshapes.end()) continue;
    const Shape& before = (*reshape).*from;
    if (tensor.shape.size() != before.size() + lead_) continue;
    // The variable dims of the one are those of the other, in their order.
    std::vector<std::int64_t> variable;
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (before[i] < 0) variable.push_back(tensor.shape[i + lead_]);
    }
    Shape shape(tensor.shape.begin(), tensor.shape.begin() + static_cast<std::ptrdiff_t>(lead_));
    auto next = variable.begin();
    for (std::int64_t dim : (*reshape).*to) shape.push_back(dim < 0 && next != variable.end() ? *next++ : dim);
    if (ElementCount(shape) == ElementCount(tensor.shape)) tensor.shape = std::move(shape);
  }
}

}  // namespace nereid::models

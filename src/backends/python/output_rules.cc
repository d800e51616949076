#include "backends/python/output_rules.h"

#include <algorithm>

#include <fmt/format.h>

#include "proto/model_config.pb.h"

namespace nereid::python {

OutputRules::OutputRules(const inference::ModelConfig& config, bool check)
    : model_(config.name()), batches_(config.max_batch_size() > 0), check_(check) {
  for (const auto& output : config.output()) {
    names_.push_back(output.name());
    const auto& dims = output.has_reshape() ? output.reshape().shape() : output.dims();
    rules_.push_back({static_cast<Datatype>(output.data_type()), Shape(dims.begin(), dims.end())});
  }
}

Result<Nothing> OutputRules::Check(const std::vector<Tensor>& outputs) const {
  if (!check_) return Nothing{};
  for (const Tensor& tensor : outputs) {
    auto name = std::ranges::find(names_, tensor.name);
    if (name == names_.end()) continue;  // nobody can have asked for it
    const Rule& rule = rules_[static_cast<std::size_t>(name - names_.begin())];
    if (tensor.datatype != rule.datatype)
      return Error(Code::kInternal,
                   fmt::format("model '{}' returned output '{}' with the datatype {}, but its configuration says {}", model_, tensor.name,
                               DatatypeName(tensor.datatype), DatatypeName(rule.datatype)),
                   "bad_output");
    std::size_t lead = batches_ ? 1 : 0;
    bool fits = tensor.shape.size() == rule.dims.size() + lead;
    for (std::size_t i = 0; fits && i < rule.dims.size(); ++i) fits = rule.dims[i] < 0 || rule.dims[i] == tensor.shape[i + lead];
    if (fits) continue;
    Shape expected = rule.dims;
    if (batches_) expected.insert(expected.begin(), -1);
    return Error(Code::kInternal,
                 fmt::format("model '{}' returned output '{}' with the shape {}, but its configuration says {}", model_, tensor.name,
                             ShapeText(tensor.shape), ShapeText(expected)),
                 "bad_output");
  }
  return Nothing{};
}

}  // namespace nereid::python

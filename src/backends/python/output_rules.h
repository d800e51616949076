// What a model's configuration says of its outputs, held against what its execute() returned.
#pragma once

#include <string>
#include <vector>

#include "api/tensor.h"
#include "base/status.h"

namespace inference {
class ModelConfig;
}

namespace nereid::python {

class OutputRules {
 public:
  // `check`: else everything passes.
  OutputRules(const inference::ModelConfig& config, bool check);

  // The error names the output and both sides.
  Result<Nothing> Check(const std::vector<Tensor>& outputs) const;
  const std::vector<std::string>& names() const { return names_; }

 private:
  struct Rule {
    Datatype datatype;
    Shape dims;  // without the batch dim; -1: any
  };
  std::string model_;
  bool batches_, check_;
  std::vector<std::string> names_;
  std::vector<Rule> rules_;  // by the place in names_
};

}  // namespace nereid::python

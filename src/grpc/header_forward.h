// Metadata that the operator lets through to the models as string parameters (--grpc-header-forward-pattern).
#pragma once

#include <regex>

#include "api/tensor.h"
#include "grpc/access.h"

namespace nereid::grpc_front {

class HeaderForward {
 public:
  // Empty: nothing is forwarded. A leading "(?i)" ignores case. A pattern that does not compile forwards nothing and is logged, as Triton.
  explicit HeaderForward(const std::string& pattern);
  void Apply(Metadata metadata, Parameters& parameters) const;

 private:
  std::optional<std::regex> pattern_;
};

}  // namespace nereid::grpc_front

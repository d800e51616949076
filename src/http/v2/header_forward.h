// Request headers that the operator lets through to the models as string parameters (--http-header-forward-pattern).
#pragma once

#include <optional>
#include <regex>
#include <span>
#include <string>

#include "api/tensor.h"
#include "net/exchange.h"

namespace nereid::http {

class HeaderForward {
 public:
  // Empty: nothing is forwarded. A leading "(?i)" ignores case. A pattern that does not compile forwards nothing and is logged, as Triton.
  explicit HeaderForward(const std::string& pattern);

  // Adds the matching headers; one goes before a parameter of the same name. kInvalidArgument for a name that Triton reserves.
  Result<Nothing> Apply(std::span<const net::HeaderField> headers, Parameters& parameters) const;

 private:
  std::optional<std::regex> pattern_;
};

}  // namespace nereid::http

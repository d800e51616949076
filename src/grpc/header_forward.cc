#include "grpc/header_forward.h"

#include "base/log.h"

namespace nereid::grpc_front {

HeaderForward::HeaderForward(const std::string& pattern) {
  if (pattern.empty()) return;
  bool any_case = pattern.starts_with("(?i)");
  auto flags = std::regex::ECMAScript | std::regex::optimize;
  try {
    pattern_ = any_case ? std::regex(pattern.substr(4), flags | std::regex::icase) : std::regex(pattern, flags);
  } catch (const std::regex_error& error) {
    LOG_WARNING("the header forward pattern '{}' is no regular expression ({}): no metadata are forwarded", pattern, error.what());
  }
}

void HeaderForward::Apply(const Metadata& metadata, Parameters& parameters) const {
  if (!pattern_) return;
  for (const auto& [key, value] : metadata) {
    if (std::regex_search(key.data(), key.data() + key.size(), *pattern_))
      parameters.emplace_back(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
  }
}

}  // namespace nereid::grpc_front

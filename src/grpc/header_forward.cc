#include "grpc/header_forward.h"

#include <algorithm>
#include <array>

#include "base/log.h"

namespace nereid::grpc_front {
namespace {

// No metadata, but what HTTP/2 and gRPC say to each other.
bool OfTheProtocol(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kNames = {"te", "content-type", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding"};
  return name.starts_with(':') || std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace

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

void HeaderForward::Apply(Metadata metadata, Parameters& parameters) const {
  if (!pattern_) return;
  for (const auto& [name, value] : metadata) {
    if (!OfTheProtocol(name) && name.size() <= net::kMatchedNameMax && std::regex_search(name.begin(), name.end(), *pattern_))
      parameters.emplace_back(std::string(name), std::string(value));
  }
}

}  // namespace nereid::grpc_front

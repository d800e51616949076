#include "http/v2/header_forward.h"

#include <algorithm>

#include "base/log.h"

namespace nereid::http {
namespace {

constexpr std::string_view kReserved[] = {"sequence_id",  "priority", "timeout",           "sequence_start",
                                          "sequence_end", "headers",  "binary_data_output"};

}  // namespace

HeaderForward::HeaderForward(const std::string& pattern) {
  if (pattern.empty()) return;
  bool any_case = pattern.starts_with("(?i)");
  auto flags = std::regex::ECMAScript | std::regex::optimize;
  try {
    pattern_ = any_case ? std::regex(pattern.substr(4), flags | std::regex::icase) : std::regex(pattern, flags);
  } catch (const std::regex_error& error) {
    LOG_WARNING("the header forward pattern '{}' is no regular expression ({}): no headers are forwarded", pattern, error.what());
  }
}

Result<Nothing> HeaderForward::Apply(std::span<const net::HeaderField> headers, Parameters& parameters) const {
  if (!pattern_) return Nothing{};
  for (const net::HeaderField& header : headers) {
    if (header.name.size() > net::kMatchedNameMax || !std::regex_search(header.name.begin(), header.name.end(), *pattern_)) continue;
    if (std::ranges::find(kReserved, header.name) != std::end(kReserved))
      return Error(Code::kInvalidArgument, fmt::format("Header '{}' is reserved for Triton usage and cannot be forwarded.", header.name),
                   "reserved_header");
    std::erase_if(parameters, [&](const auto& parameter) { return parameter.first == header.name; });
    parameters.emplace_back(std::string(header.name), std::string(header.value));
  }
  return Nothing{};
}

}  // namespace nereid::http

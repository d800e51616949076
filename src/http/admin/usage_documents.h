// The cost report's query string and document. Pure.
#pragma once

#include <string>
#include <string_view>

#include "api/reports.h"

namespace nereid::http {

// hours=24&key=&model=&target=&task=&day=: each at most once, an empty value is no filter, `day` excludes `hours`. kInvalidArgument names
// what is wrong; unknown names are errors.
Result<UsageFilter> ParseUsageQuery(std::string_view query);
// Money is the charge, as exact decimal numbers.
std::string RenderUsage(const UsageReport& report);

}  // namespace nereid::http

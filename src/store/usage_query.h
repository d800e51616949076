// The cost report as a query over the projection.
#pragma once

#include "api/reports.h"
#include "store/sqlite.h"

namespace nereid::store {

// Counts what was delivered: settlements that succeeded, and failed ones that used tokens without showing the client an error status (a
// stream that was cut, a request that a crash left open). Other failed requests are in no figure of the report. With `day` set the period
// is that day in UTC, else the last `hours` before `now`. kInvalidArgument for an impossible filter. A filter's value that the ledger does
// not know gives an empty report.
Result<UsageReport> QueryUsage(Database& database, const UsageFilter& filter, WallTime now);

}  // namespace nereid::store

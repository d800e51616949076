// The tables, made and brought up to date by numbered migrations.
#pragma once

#include "store/sqlite.h"

namespace nereid::store {

// kUnsupported for a database that a newer Nereid made.
Result<Nothing> Migrate(Database& database);

}  // namespace nereid::store

// The table of keys.
#pragma once

#include <string>
#include <vector>

#include "api/store.h"
#include "store/sqlite.h"

namespace nereid::store {

Result<std::vector<StoredKey>> ReadKeys(Database& database);
// On the disk when they return. kConflict for an id that exists; kNotFound for one that does not (or is revoked already).
Result<std::int64_t> InsertKeyRow(Database& database, const StoredKey& key);
Result<Nothing> RevokeKeyRow(Database& database, const std::string& id, WallTime at);

}  // namespace nereid::store

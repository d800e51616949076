// Bodies of the key endpoints, both ways. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "api/key_admin.h"

namespace nereid::http {

// {"name", "scopes": [...], "expires_at"?}: nothing else, nothing twice. kInvalidArgument; the reason names the field, see ParamOf.
Result<KeySpec> ParseKeySpec(std::string_view body);

// With `days_left` (rounded up) and, for a key that expires, `expires_in_days` = its whole lifetime. Never a secret.
std::string RenderKey(const KeyRecord& key, WallTime now);
std::string RenderKeys(std::span<const KeyRecord> keys, WallTime now);
// With "key", this once.
std::string RenderCreatedKey(const CreatedKey& created, WallTime now);

}  // namespace nereid::http

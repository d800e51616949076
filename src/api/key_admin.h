// Keys as an administrator sees them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/request.h"
#include "net/task.h"

namespace nereid {

struct KeyRecord {
  std::string id, name;
  std::vector<std::string> scopes;  // "chat", "admin", "model:gpt-*", ...
  WallTime created_at{};
  std::optional<WallTime> expires_at;
};
struct CreatedKey {
  KeyRecord record;
  std::string secret;  // shown once
};
struct KeySpec {
  std::string name;
  std::vector<std::string> scopes;
  std::optional<WallTime> expires_at;
};

// All calls return after every io thread took the new snapshot. On an io thread.
class KeyAdmin {
 public:
  virtual ~KeyAdmin() = default;
  // A key grants at most its creator's rights: kPermissionDenied otherwise. kInvalidArgument for unknown scopes or a past expiry.
  // `creator` outlives the task.
  virtual net::Task<CreatedKey> Create(const Principal& creator, KeySpec spec) = 0;
  virtual net::Task<std::vector<KeyRecord>> List() = 0;   // neither expired nor revoked, without the bootstrap key
  virtual net::Task<KeyRecord> Get(std::string id) = 0;   // kNotFound
  virtual net::Task<Nothing> Delete(std::string id) = 0;  // kNotFound; kConflict for the last admin key
};

}  // namespace nereid

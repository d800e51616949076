// The keys as the front ends look them up: built anew at each change, read without locks.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/store.h"
#include "base/sha256.h"

namespace nereid::accounts {

class KeyTable {
 public:
  // A stored key whose scopes cannot be read (made by a newer Nereid) is left out and so refused.
  explicit KeyTable(const std::vector<StoredKey>& keys);

  // kUnauthenticated with the contract's texts. Allocates nothing for a key without model globs.
  Result<Principal> Authenticate(std::optional<std::string_view> authorization, WallTime now) const;

 private:
  struct Entry {
    Principal principal;
    Sha256Digest hash{};
    std::optional<WallTime> expires_at, revoked_at;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> by_name_;
};

}  // namespace nereid::accounts

#include "accounts/key_table.h"

#include <cstring>

#include "accounts/key_text.h"
#include "accounts/scopes.h"
#include "base/log.h"

namespace nereid::accounts {

KeyTable::KeyTable(const std::vector<StoredKey>& keys) {
  for (const StoredKey& key : keys) {
    Result<Rights> rights = ParseScopes(key.record.scopes);
    if (!rights || key.secret_sha256.size() != Sha256Digest{}.size() || !key.record.id.starts_with("key_")) {
      LOG_WARNING("key {} cannot be read and is refused", key.record.id);
      continue;
    }
    Entry entry;
    entry.principal = {key.number, key.record.id, rights->scopes, std::move(rights->model_globs), key.bootstrap};
    std::memcpy(entry.hash.data(), key.secret_sha256.data(), entry.hash.size());
    entry.expires_at = key.record.expires_at;
    entry.revoked_at = key.revoked_at;
    by_name_.insert_or_assign(key.record.id.substr(4), std::move(entry));
  }
}

Result<Principal> KeyTable::Authenticate(std::optional<std::string_view> authorization, WallTime now) const {
  auto refuse = [](const char* message, std::string_view reason) { return Error(Code::kUnauthenticated, message, reason); };
  if (!authorization) return refuse("No API key was sent. Send the header 'Authorization: Bearer YOUR_API_KEY'", "missing_api_key");
  TRY(KeyText key, ParseAuthorization(*authorization));
  auto found = by_name_.find(key.name);
  // Whether a key was revoked or has expired is told only to who has its secret.
  if (found == by_name_.end() || !SameDigest(found->second.hash, HashKey(key.whole))) {
    return refuse("This API key is unknown", "invalid_api_key");
  }
  const Entry& entry = found->second;
  if (entry.revoked_at) return refuse("This API key was revoked", "api_key_revoked");
  if (entry.expires_at && now >= *entry.expires_at) return refuse("This API key has expired", "api_key_expired");
  return entry.principal;
}

}  // namespace nereid::accounts

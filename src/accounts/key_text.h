// What a key looks like: "nrd-", eleven characters that name it, and thirty-three that prove it, all base 62.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/sha256.h"
#include "base/status.h"

namespace nereid::accounts {

inline constexpr std::string_view kKeyPrefix = "nrd-";
inline constexpr std::size_t kNameChars = 11;    // "key_" and it are 15 bytes, which std::string keeps without the heap
inline constexpr std::size_t kSecretChars = 33;  // 196 bits

struct KeyText {
  std::string_view name;  // within the whole text
  std::string_view whole;
};

// A key's text in its parts; nothing when it is not of our format.
std::optional<KeyText> ParseKey(std::string_view text);
// The key out of an Authorization header's value. kUnauthenticated: "Invalid API key format".
Result<KeyText> ParseAuthorization(std::string_view value);

std::string NewKey();
std::string KeyId(std::string_view name);  // "key_..."
// What is stored of a key. Its 196 random bits need no slow hash.
Sha256Digest HashKey(std::string_view whole);
// Takes the same time wherever the two differ.
bool SameDigest(const Sha256Digest& a, const Sha256Digest& b);

}  // namespace nereid::accounts

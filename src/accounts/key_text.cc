#include "accounts/key_text.h"

#include <algorithm>

#include "base/ids.h"

namespace nereid::accounts {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static_assert(kAlphabet.size() == 62);

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

std::string RandomBase62(std::size_t size) {
  std::string text;
  while (text.size() < size) {
    for (char byte : RandomBytes(size)) {
      auto value = static_cast<unsigned char>(byte);
      // 248 = 4 * 62: what is above would make some characters likelier.
      if (value < 248 && text.size() < size) text += kAlphabet[value % 62];
    }
  }
  return text;
}

bool StartsWithScheme(std::string_view value) {
  constexpr std::string_view kScheme = "bearer ";
  if (value.size() < kScheme.size()) return false;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    char c = value[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != kScheme[i]) return false;
  }
  return true;
}

}  // namespace

std::optional<KeyText> ParseKey(std::string_view text) {
  if (text.size() != kKeyPrefix.size() + kNameChars + kSecretChars || !text.starts_with(kKeyPrefix)) return std::nullopt;
  std::string_view rest = text.substr(kKeyPrefix.size());
  if (!std::all_of(rest.begin(), rest.end(), IsAlphanumeric)) return std::nullopt;
  return KeyText{rest.substr(0, kNameChars), text};
}

Result<KeyText> ParseAuthorization(std::string_view value) {
  std::optional<KeyText> key;
  if (StartsWithScheme(value)) {
    std::string_view text = value.substr(7);
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    key = ParseKey(text);
  }
  if (!key) return Error(Code::kUnauthenticated, "Invalid API key format", "invalid_api_key_format");
  return *key;
}

std::string NewKey() {
  return std::string(kKeyPrefix) + RandomBase62(kNameChars + kSecretChars);
}
std::string KeyId(std::string_view name) {
  return "key_" + std::string(name);
}
Sha256Digest HashKey(std::string_view whole) {
  return Sha256(whole);
}

bool SameDigest(const Sha256Digest& a, const Sha256Digest& b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace nereid::accounts

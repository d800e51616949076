// What comes from outside the configuration: secrets behind references, and the default state folder.
#include <cstdlib>
#include <fstream>

#include "config/config.h"

namespace nereid {

Result<std::string> ReadSecret(const SecretRef& secret) {
  std::string value;
  if (secret.source.starts_with("env:")) {
    const char* text = std::getenv(secret.source.c_str() + 4);
    if (!text) return Error(Code::kNotFound, fmt::format("the secret {} is not set", secret.source), "secret_missing");
    value = text;
  } else if (secret.source.starts_with("file:")) {
    constexpr std::size_t kSecretBytesMax = 64 << 10;
    std::ifstream file(secret.source.substr(5), std::ios::binary);
    if (!file) return Error(Code::kNotFound, fmt::format("the secret {} cannot be read", secret.source), "secret_missing");
    value.resize(kSecretBytesMax + 1);
    file.read(value.data(), static_cast<std::streamsize>(value.size()));
    value.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    if (value.size() > kSecretBytesMax)
      return Error(Code::kInvalidArgument, fmt::format("the secret {} is longer than 64 KiB", secret.source), "secret_bad");
  } else {
    return Error(Code::kInvalidArgument, "a secret reference must be env:NAME or file:PATH", "secret_bad");
  }
  while (value.ends_with('\n') || value.ends_with('\r')) value.pop_back();
  if (value.empty()) return Error(Code::kNotFound, fmt::format("the secret {} is empty", secret.source), "secret_missing");
  // It goes into a header line: a control character in it could start another one.
  if (std::ranges::any_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    return Error(Code::kInvalidArgument, fmt::format("the secret {} has control characters in it", secret.source), "secret_bad");
  return value;
}

std::string StateFolder(const ServerConfig& server) {
  if (!server.state_folder.empty()) return server.state_folder;
  if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state) return std::string(state) + "/nereid";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : "/var/lib") + (home && *home ? "/.local/state/nereid" : "/nereid");
}

}  // namespace nereid

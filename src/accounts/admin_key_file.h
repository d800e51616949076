// <state>/admin.key: the first admin key, for who can read the server's own files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/status.h"

namespace nereid::accounts {

// The key in the file; nothing when there is none or it holds no key.
std::optional<std::string> ReadAdminKey(const std::filesystem::path& state_folder);
// Mode 0600; complete or absent after a crash.
Result<Nothing> WriteAdminKey(const std::filesystem::path& state_folder, const std::string& key);

}  // namespace nereid::accounts

// Base64 (RFC 4648, with padding).
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace nereid::codec {

std::string EncodeBase64(std::string_view bytes);
Result<std::string> DecodeBase64(std::string_view text);

}  // namespace nereid::codec

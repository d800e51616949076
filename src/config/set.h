// One field of the configuration by its path: the door of the flags.
#pragma once

#include "config/config.h"

namespace nereid::config {

// "server.http.port" = "9000". A sequence of texts gets one more item. Errors name the path and what is allowed.
Result<Nothing> SetPath(Config& config, std::string_view path, std::string_view value);

}  // namespace nereid::config

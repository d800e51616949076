// Which backends this build has.
#pragma once

#include <map>
#include <string>

#include "api/backend.h"
#include "models/model_server.h"

namespace nereid::server {

// `common`: what all of them are handed; only the options differ.
std::map<std::string, models::BackendFactory> Backends(BackendWorld common);

}  // namespace nereid::server

// The backend `identity`: each input comes back as the output of the same number. For tests and benches.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "api/backend.h"

namespace nereid::identity {

// Model parameter `execute_delay_ms`, as Triton's identity backend: how long an execution takes.
Result<std::unique_ptr<Backend>> CreateIdentityBackend(const std::map<std::string, std::string>& options);

}  // namespace nereid::identity

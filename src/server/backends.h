// Which backends this build has.
#pragma once

#include <map>
#include <string>

#include "base/compute_arbiter.h"
#include "base/machine.h"
#include "models/model_server.h"

namespace nereid::server {

// `arbiter` outlives the backends.
std::map<std::string, models::BackendFactory> Backends(ComputeArbiter& arbiter, const Machine& machine);

}  // namespace nereid::server

// The server: builds every object once, starts them in order, and takes them down in the other order.
#pragma once

#include "config/config.h"

namespace nereid::server {

// Serves until SIGTERM or SIGINT. Answers the exit code: 0 after a clean end, 1 when it could not start (one line on stderr says why).
int Serve(const Config& config);

}  // namespace nereid::server

// GET /metrics, on the metrics port only.
#pragma once

#include <functional>
#include <string>

#include "net/exchange.h"

namespace nereid::http {

// `render` gives Prometheus text; called on the io thread. Any other GET is an empty 200, as Triton.
net::Handler MetricsHandler(std::function<std::string()> render);

}  // namespace nereid::http

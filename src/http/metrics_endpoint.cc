#include "http/metrics_endpoint.h"

#include <memory>

namespace nereid::http {
namespace {

net::Task<Nothing> Serve(net::Exchange& exchange, const std::function<std::string()>& render) {
  if (exchange.method() != net::Method::kGet && exchange.method() != net::Method::kHead)
    co_return co_await exchange.Respond(net::ResponseHead{405, "text/plain", {}}, "Method Not Allowed\n");
  if (exchange.path() != "/metrics") co_return co_await exchange.Respond(net::ResponseHead{200, "text/plain", {}}, "");
  std::string text = render();
  co_return co_await exchange.Respond(net::ResponseHead{200, "text/plain; charset=utf-8", {}}, text);
}

}  // namespace

net::Handler MetricsHandler(std::function<std::string()> render) {
  auto shared = std::make_shared<std::function<std::string()>>(std::move(render));
  return [shared](net::Exchange& exchange) { return Serve(exchange, *shared); };
}

}  // namespace nereid::http

#include "net/http_server.h"

#include "net/http_connection.h"

namespace nereid::net {

HttpServer::HttpServer(IoThreads& threads, HttpServerOptions options, Handler handler)
    : threads_(threads), options_(std::move(options)), handler_(std::move(handler)) {}

HttpServer::~HttpServer() = default;

Result<int> HttpServer::Start() {
  auto host = std::make_shared<HttpHost>(options_, handler_, nullptr, std::make_shared<ByteBudget>(options_.buffered_bytes_max));
  if (!options_.certificate_file.empty()) {
    TRY(host->tls, ServerTls(options_.certificate_file, options_.key_file));
  }
  listener_.emplace(threads_, options_.listen, [&host](int, Executor executor) { return std::make_unique<HttpLane>(host, executor); });
  return listener_->Start();
}

}  // namespace nereid::net

#include "net/http2_server.h"

#include "net/http2_connection.h"

namespace nereid::net {

Http2Server::Http2Server(IoThreads& threads, Http2Options options, Http2Handler handler)
    : threads_(threads), options_(std::move(options)), handler_(std::move(handler)) {}

Http2Server::~Http2Server() = default;

Result<int> Http2Server::Start() {
  auto host = std::make_shared<Http2Host>(options_, handler_, nullptr);
  if (!options_.certificate_file.empty()) {
    TRY(host->tls, ServerTls(options_.certificate_file, options_.key_file));
    if (!options_.client_roots_file.empty()) TRY_DO(AskForCertificate(host->tls.get(), options_.client_roots_file));
    OfferHttp2(host->tls.get());
  }
  listener_.emplace(threads_, options_.listen,
                    [&host](int thread, Executor executor) { return std::make_unique<Http2Lane>(host, thread, executor); });
  return listener_->Start();
}

}  // namespace nereid::net

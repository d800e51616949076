// The gRPC front end: KServe v2 and the standard health service on one port.
#pragma once

#include <memory>
#include <optional>

#include "config/config.h"
#include "grpc/context.h"
#include "net/http2_server.h"

namespace nereid {

class GrpcServer {
 public:
  // `threads` and `models` outlive the server. `v2` is what server.auth.v2 comes to.
  GrpcServer(net::IoThreads& threads, const GrpcConfig& config, ModelService& models, grpc_front::ServerIdentity identity, V2Auth v2,
             grpc_front::Authenticate authenticate);
  ~GrpcServer();

  // Binds, and answers with the port. An error says which address could not be had and why.
  Result<int> Start();  // once

  // Takes no new calls. Returns at once.
  void BeginDrain() { server_.BeginDrain(); }
  // That, and waits for those under way; what is not done by then is cancelled. Blocks; not on an io thread.
  bool Drain(SteadyTime deadline) { return server_.Drain(deadline); }

 private:
  net::Http2Server server_;
};

}  // namespace nereid

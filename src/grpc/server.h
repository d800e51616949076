// The gRPC front end: KServe v2 and the standard health service on one port.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "config/config.h"
#include "grpc/context.h"

namespace nereid {

class GrpcServer {
 public:
  // Everything handed in outlives the server. `v2` is what server.auth.v2 comes to; `authenticate` is called on gRPC's thread.
  GrpcServer(const GrpcConfig& config, ModelService& models, grpc_front::ServerIdentity identity, V2Auth v2,
             grpc_front::Authenticate authenticate);
  ~GrpcServer();  // stops

  // Binds, and answers with the port. An error says which address could not be had and why.
  Result<int> Start();  // once

  // Takes no new calls and waits for those under way; what is not done by then is cancelled. Blocks; not on gRPC's thread.
  // Models must still be answering: a call ends by its model's answer only.
  void Drain(Nanos wait);
  void Stop() { Drain(Nanos(0)); }

 private:
  struct Parts;
  Result<std::shared_ptr<grpc::ServerCredentials>> Credentials() const;

  const GrpcConfig config_;
  const grpc_front::ServerIdentity identity_;
  const grpc_front::Access access_;
  const grpc_front::HeaderForward forward_;
  grpc_front::OpenCalls open_;
  grpc_front::CallContext shared_;
  std::unique_ptr<Parts> parts_;  // while it runs
};

}  // namespace nereid

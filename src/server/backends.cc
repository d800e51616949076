#include "server/backends.h"

#include "backends/identity/identity_backend.h"
#include "backends/llama/llama_backend.h"
#include "backends/onnxruntime/onnxruntime_backend.h"

namespace nereid::server {

std::map<std::string, models::BackendFactory> Backends(ComputeArbiter& arbiter, const Machine& machine) {
  auto world = [&arbiter, machine](const std::map<std::string, std::string>& options) {
    return BackendWorld{&arbiter, machine.cores, machine.memory_bytes, options};
  };
  return {
      {"identity", [](const auto& options) { return identity::CreateIdentityBackend(options); }},
      {"llama", [world](const auto& options) -> Result<std::unique_ptr<Backend>> { return MakeLlamaBackend(world(options)); }},
      {"onnxruntime", [world](const auto& options) { return onnxruntime::CreateOnnxRuntimeBackend(world(options)); }},
  };
}

}  // namespace nereid::server

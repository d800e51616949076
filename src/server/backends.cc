#include "server/backends.h"

#include "backends/identity/identity_backend.h"
#include "backends/llama/llama_backend.h"
#include "backends/onnxruntime/onnxruntime_backend.h"
#include "backends/python/python_backend.h"

namespace nereid::server {

std::map<std::string, models::BackendFactory> Backends(BackendWorld common) {
  auto world = [common = std::move(common)](const std::map<std::string, std::string>& options) {
    BackendWorld own = common;
    own.options = options;
    return own;
  };
  return {
      {"identity", [](const auto& options) { return identity::CreateIdentityBackend(options); }},
      {"llama", [world](const auto& options) -> Result<std::unique_ptr<Backend>> { return MakeLlamaBackend(world(options)); }},
      {"onnxruntime", [world](const auto& options) { return onnxruntime::CreateOnnxRuntimeBackend(world(options)); }},
      {"python", [world](const auto& options) { return python::CreatePythonBackend(world(options)); }},
  };
}

}  // namespace nereid::server

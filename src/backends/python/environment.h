// Which Python runs a model: the one the server was told, or that of a virtual environment, which may come as an archive.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "api/backend.h"

namespace nereid::python {

struct Interpreter {
  std::string executable;
  std::filesystem::path virtual_environment;  // empty: none
  std::shared_ptr<const void> unpacked;       // keeps the folder of an archive while somebody holds it
};

// Any thread.
class Environments {
 public:
  // Removes what servers that were killed have left.
  explicit Environments(std::string executable);

  // By the model's parameter EXECUTION_ENV_PATH: a folder or an archive, in which $$TRITON_MODEL_DIRECTORY stands for the model's folder.
  // Unpacks an archive once for all models; may take long. Errors name the path.
  Result<Interpreter> For(const ModelFiles& files, const inference::ModelConfig& config);

 private:
  class Unpacked;
  Result<std::shared_ptr<Unpacked>> Unpack(const std::filesystem::path& archive);

  const std::string executable_;
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Unpacked>> unpacked_;  // by path, size and time; guarded by mutex_
};

// The environment variables of a worker: the server's without the `secret` ones, with `module_folder` first on PYTHONPATH and the virtual
// environment's folders first on PATH and LD_LIBRARY_PATH.
std::vector<std::string> WorkerVariables(const std::filesystem::path& module_folder, const Interpreter& interpreter,
                                         const std::vector<std::string>& secret);

}  // namespace nereid::python

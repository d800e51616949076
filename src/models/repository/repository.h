// The folders that hold models: which model lies where, its versions, its config, its labels.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "api/model_service.h"
#include "base/status.h"
#include "proto/model_config.pb.h"

namespace nereid::models {

// What a look at a model's folder gives: everything that a load needs, read once.
struct PolledModel {
  std::string name;
  std::filesystem::path folder;
  inference::ModelConfig config;       // normalised; not yet completed by the backend
  std::vector<std::int64_t> versions;  // those that the version policy wants, ascending
  std::string fingerprint;             // changes when a file or the config does
  std::filesystem::path temporary;     // a folder of file overrides, to be removed with the model; else empty
};

class Repository {
 public:
  // Folders that exist. `config_name`: configs/<name>.pbtxt is taken before config.pbtxt when it is there.
  Repository(std::vector<std::filesystem::path> folders, std::string config_name, bool auto_complete);

  // Names of all model folders, sorted; stray files are passed over. A name in two repositories is in `ambiguous`.
  std::vector<std::string> Names() const;
  // Errors carry Triton's texts for polling.
  Result<PolledModel> Poll(const std::string& name, const LoadOptions& options) const;

 private:
  std::vector<std::filesystem::path> folders_;
  std::string config_name_;
  bool auto_complete_;
};

// By label_filename of each output; errors name the file.
Result<Labels> ReadLabels(const std::filesystem::path& folder, const inference::ModelConfig& config);

// The path of a model name or an override file is inside its folder.
bool IsPlainName(std::string_view name);

}  // namespace nereid::models

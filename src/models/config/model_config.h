// Reading and checking config.pbtxt. Two steps, as Triton: what fails while a repository is looked at, and what fails the load.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "api/tensor.h"
#include "base/status.h"
#include "proto/model_config.pb.h"

namespace nereid::models {

// Errors name the file, line and column.
Result<inference::ModelConfig> ReadConfigFile(const std::filesystem::path& path);
// A load override: ModelConfig as JSON with proto field names.
Result<inference::ModelConfig> ParseConfigJson(std::string_view json);

// Fills what a config leaves out and does not depend on a backend (version policy, instance group names, batching defaults), then checks
// what Triton checks while polling. `name` is the folder's.
Result<Nothing> NormaliseConfig(std::string_view name, inference::ModelConfig& config);
// Checked when a version loads, after the backend completed the config.
Result<Nothing> CheckConfigAtLoad(const inference::ModelConfig& config);

// TYPE_STRING is BYTES on the wire.
Datatype DatatypeOf(inference::DataType type);

}  // namespace nereid::models

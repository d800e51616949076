// Which GGUF file of a model folder is the model.
#pragma once

#include <filesystem>
#include <string_view>

#include "api/backend.h"
#include "base/status.h"

namespace nereid::llama {

// `default_name` of the configuration, when not empty; else model.gguf, else the only *.gguf, of the version folder, else of the model
// folder. Errors name the folder.
Result<std::filesystem::path> FindModelFile(const ModelFiles& files, std::string_view default_name);

}  // namespace nereid::llama

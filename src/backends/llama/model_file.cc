#include "backends/llama/model_file.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include <fmt/format.h>

namespace nereid::llama {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> GgufFiles(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure)) {
    if (it->path().extension() == ".gguf") found.push_back(it->path());
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

Result<fs::path> FindModelFile(const ModelFiles& files, std::string_view default_name) {
  std::error_code failure;
  for (const fs::path& folder : {files.version_folder, files.model_folder}) {
    fs::path named = folder / (default_name.empty() ? std::string_view("model.gguf") : default_name);
    if (fs::exists(named, failure)) return named;
    if (!default_name.empty()) continue;
    std::vector<fs::path> found = GgufFiles(folder);
    if (found.size() == 1) return found.front();
    if (found.size() > 1) {
      return Error(Code::kInvalidArgument,
                   fmt::format("{} has {} .gguf files and none is called model.gguf: say which in default_model_filename", folder.string(),
                               found.size()),
                   "broken_model");
    }
  }
  return Error(Code::kNotFound,
               fmt::format("no {} in {}", default_name.empty() ? "model.gguf" : default_name, files.version_folder.string()),
               "broken_model");
}

}  // namespace nereid::llama

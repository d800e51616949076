#include "models/repository/repository.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/log.h"
#include "models/config/model_config.h"

namespace nereid::models {
namespace {

namespace fs = std::filesystem;

// A file name in the first version folder tells the backend, in Triton's order.
struct FileRow {
  std::string_view file, backend, platform;
};
constexpr FileRow kFiles[] = {
    {"model.onnx", "onnxruntime", "onnxruntime_onnx"}, {"model.gguf", "llama", "llama"}, {"model.py", "python", ""}};

struct PlatformRow {
  std::string_view platform, backend;
};
constexpr PlatformRow kPlatforms[] = {{"onnxruntime_onnx", "onnxruntime"},
                                      {"llama", "llama"},
                                      {"ensemble", ""},
                                      {"tensorrt_plan", "tensorrt"},
                                      {"pytorch_libtorch", "pytorch"},
                                      {"tensorflow_savedmodel", "tensorflow"},
                                      {"tensorflow_graphdef", "tensorflow"}};

// -1 when the text is no version folder's name.
std::int64_t VersionOf(const std::string& text) {
  if (text.empty() || text.size() > 18 || (text.size() > 1 && text[0] == '0')) return -1;
  std::int64_t version = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return -1;
    version = version * 10 + (c - '0');
  }
  return version;
}

std::vector<std::int64_t> VersionFolders(const fs::path& folder) {
  std::vector<std::int64_t> versions;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!entry.is_directory(error)) continue;
    if (std::int64_t version = VersionOf(entry.path().filename().string()); version >= 0) versions.push_back(version);
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

bool HasGguf(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".gguf") return true;
  }
  return false;
}

Result<Nothing> CompleteBackend(const fs::path& folder, const std::vector<std::int64_t>& versions, inference::ModelConfig& config) {
  if (!config.platform().empty()) {
    const auto* row =
        std::find_if(std::begin(kPlatforms), std::end(kPlatforms), [&](const PlatformRow& r) { return r.platform == config.platform(); });
    if (row == std::end(kPlatforms))
      return Error(Code::kInvalidArgument, fmt::format("unexpected platform type '{}' for {}", config.platform(), config.name()),
                   "bad_model_config");
    if (config.backend().empty()) config.set_backend(std::string(row->backend));
    return Nothing{};
  }
  if (config.backend().empty() && !versions.empty()) {
    fs::path version = folder / std::to_string(versions.front());
    for (const FileRow& row : kFiles) {
      bool found = fs::exists(version / row.file) || (row.backend == "llama" && (HasGguf(version) || HasGguf(folder)));
      if (!found) continue;
      config.set_backend(std::string(row.backend));
      config.set_platform(std::string(row.platform));
      break;
    }
  }
  if (config.backend().empty())
    return Error(
        Code::kInvalidArgument,
        fmt::format(
            "Invalid model name: Could not determine backend for model '{}' with no backend in model configuration. Expected model name of the form 'model.<backend_name>'.",
            config.name()),
        "no_backend");
  for (const FileRow& row : kFiles) {
    if (row.backend != config.backend()) continue;
    if (config.platform().empty()) config.set_platform(std::string(row.platform));
    if (config.default_model_filename().empty() && row.backend != "llama") config.set_default_model_filename(std::string(row.file));
  }
  return Nothing{};
}

std::vector<std::int64_t> WantedVersions(const inference::ModelConfig& config, const std::vector<std::int64_t>& present) {
  const auto& policy = config.version_policy();
  if (policy.has_all()) return present;
  if (policy.has_specific()) {
    std::vector<std::int64_t> wanted;
    for (std::int64_t version : policy.specific().versions()) {
      if (std::binary_search(present.begin(), present.end(), version)) wanted.push_back(version);
      else LOG_ERROR("version {} is specified for model '{}', but the version directory is not present", version, config.name());
    }
    std::sort(wanted.begin(), wanted.end());
    return wanted;
  }
  std::size_t count = std::max<std::size_t>(1, policy.latest().num_versions());
  return {present.end() - static_cast<std::ptrdiff_t>(std::min(count, present.size())), present.end()};
}

std::string Fingerprint(const fs::path& folder, const inference::ModelConfig& config) {
  std::set<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, fs::directory_options::follow_directory_symlink, error), end; it != end;
       it.increment(error)) {
    if (error || !it->is_regular_file(error)) continue;
    auto time = fs::last_write_time(it->path(), error).time_since_epoch().count();
    files.insert(fmt::format("{} {} {}", it->path().string(), time, it->file_size(error)));
  }
  std::string text = config.SerializeAsString();
  for (const auto& file : files) text += "\n" + file;
  return text;
}

Result<fs::path> WriteOverrides(const std::string& name, const LoadOptions& options) {
  std::string id;
  for (unsigned char c : RandomBytes(8)) id += fmt::format("{:02x}", c);
  fs::path folder = fs::temp_directory_path() / ("nereid-" + id) / name;
  for (const auto& [path, content] : options.files) {
    fs::path relative = fs::path(path).lexically_normal();
    if (relative.empty() || relative.is_absolute() || *relative.begin() == "..")
      return Error(Code::kInvalidArgument, fmt::format("the override file '{}' leaves the folder of model '{}'", path, name),
                   "bad_override");
    std::error_code error;
    fs::create_directories((folder / relative).parent_path(), error);
    std::ofstream file(folder / relative, std::ios::binary);
    file << content;
    file.close();
    if (!file) return Error(Code::kInternal, fmt::format("cannot write the override file '{}' of model '{}'", path, name), "unwritable");
  }
  return folder;
}

}  // namespace

bool IsPlainName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

Repository::Repository(std::vector<fs::path> folders, std::string config_name, bool auto_complete)
    : folders_(std::move(folders)), config_name_(std::move(config_name)), auto_complete_(auto_complete) {}

std::vector<std::string> Repository::Names() const {
  std::set<std::string> names;
  for (const auto& folder : folders_) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (entry.is_directory(error)) names.insert(entry.path().filename().string());
    }
  }
  return {names.begin(), names.end()};
}

Result<PolledModel> Repository::Poll(const std::string& name, const LoadOptions& options) const {
  if (!IsPlainName(name))
    return Error(Code::kInvalidArgument,
                 fmt::format("invalid model name '{}', model name must not contain path traversal characters", name), "bad_model_name");
  PolledModel polled;
  polled.name = name;
  if (!options.files.empty()) {
    if (!options.config_json)
      return Error(Code::kInvalidArgument, fmt::format("files of model '{}' are overridden without a 'config' override", name),
                   "bad_override");
    TRY(polled.temporary, WriteOverrides(name, options));
    polled.folder = polled.temporary;
  } else {
    for (const auto& folder : folders_) {
      std::error_code error;
      if (!fs::is_directory(folder / name, error)) continue;
      if (!polled.folder.empty())
        return Error(Code::kInvalidArgument,
                     fmt::format("model '{}' is in two repositories: {} and {}", name, polled.folder.string(), (folder / name).string()),
                     "ambiguous_model");
      polled.folder = folder / name;
    }
    if (polled.folder.empty())
      return Error(Code::kNotFound, fmt::format("no folder for model '{}' in the repositories", name), "no_such_model");
  }
  std::vector<std::int64_t> present = VersionFolders(polled.folder);
  fs::path file = polled.folder / "config.pbtxt";
  if (fs::path custom = polled.folder / "configs" / (config_name_ + ".pbtxt"); !config_name_.empty() && fs::exists(custom)) file = custom;
  if (options.config_json) {
    TRY(polled.config, ParseConfigJson(*options.config_json));
  } else if (fs::exists(file)) {
    TRY(polled.config, ReadConfigFile(file));
  } else if (!auto_complete_) {
    return Error(Code::kNotFound, fmt::format("model '{}' has no config.pbtxt, and completing configurations is switched off", name),
                 "no_config");
  }
  if (polled.config.name().empty()) polled.config.set_name(name);
  TRY_DO(CompleteBackend(polled.folder, present, polled.config));
  TRY_DO(NormaliseConfig(name, polled.config));
  polled.versions = WantedVersions(polled.config, present);
  polled.fingerprint = Fingerprint(polled.folder, polled.config);
  return polled;
}

Result<Labels> ReadLabels(const fs::path& folder, const inference::ModelConfig& config) {
  Labels labels;
  for (const auto& output : config.output()) {
    if (output.label_filename().empty()) continue;
    fs::path path = folder / output.label_filename();
    std::ifstream file(path);
    if (!file)
      return Error(Code::kInternal, fmt::format("failed to open text file for read {}: {}", path.string(), std::strerror(errno)),
                   "unreadable");
    std::string line;
    while (std::getline(file, line)) {
      if (line.ends_with('\r')) line.pop_back();
      labels[output.name()].push_back(line);
    }
  }
  return labels;
}

}  // namespace nereid::models

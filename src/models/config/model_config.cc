#include "models/config/model_config.h"

#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

namespace nereid::models {
namespace {

class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text.empty()) text = fmt::format("line {} column {}: {}", line + 1, column + 1, message);
  }
  std::string text;
};

std::unexpected<Status> Invalid(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_model_config");
}

Result<Nothing> CheckDynamicBatching(const std::string& name, inference::ModelConfig& config) {
  if (!config.has_dynamic_batching()) return Nothing{};
  auto& batching = *config.mutable_dynamic_batching();
  for (int size : batching.preferred_batch_size()) {
    if (size <= 0) return Invalid(fmt::format("dynamic batching preferred size must be positive for {}", name));
    if (size > config.max_batch_size())
      return Invalid(fmt::format("dynamic batching preferred size must be <= max batch size for {}", name));
  }
  std::uint64_t levels = batching.priority_levels();
  if (levels > 0 && (batching.default_priority_level() == 0 || batching.default_priority_level() > levels))
    return Invalid(fmt::format("default priority level must be in range [1, {}] for {}", levels, name));
  for (const auto& [level, policy] : batching.priority_queue_policy()) {
    if (level == 0 || level > levels)
      return Invalid(fmt::format("priority queue policy must have priority level in range [1, {}] for {}", levels, name));
  }
  if (batching.preserve_ordering()) {
    if (levels > 1) return Invalid(fmt::format("Only one priority level is allowed when 'preserve_ordering' is true for {}", name));
    bool delays = batching.default_queue_policy().timeout_action() == inference::ModelQueuePolicy::DELAY;
    for (const auto& [level, policy] : batching.priority_queue_policy())
      delays = delays || policy.timeout_action() == inference::ModelQueuePolicy::DELAY;
    if (delays)
      return Invalid(fmt::format("Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for {}", name));
  }
  if (batching.preferred_batch_size().empty() && config.max_batch_size() > 0) batching.add_preferred_batch_size(config.max_batch_size());
  return Nothing{};
}

Result<Nothing> CheckEnsemble(const std::string& name, const inference::ModelConfig& config) {
  if (config.platform() != "ensemble") return Nothing{};
  if (!config.has_ensemble_scheduling())
    return Invalid(fmt::format("ensemble scheduling must be set for ensemble {} whose platform is ensemble", name));
  if (config.instance_group_size() > 0) return Invalid(fmt::format("instance group should not be specified for ensemble '{}'", name));
  return Nothing{};
}

template <class Io>
Result<Nothing> CheckIo(const char* kind, const Io& io, const inference::ModelConfig& config) {
  const std::string& name = config.name();
  if (io.name().empty()) return Invalid(fmt::format("model {} must specify 'name' for {}", kind, name));
  if (io.data_type() == inference::TYPE_INVALID)
    return Invalid(fmt::format("model {} '{}' must specify 'data_type' for {}", kind, io.name(), name));
  if (io.dims_size() == 0 && !io.has_reshape() && config.max_batch_size() == 0 && config.backend() != "onnxruntime")
    return Invalid(fmt::format("model {} '{}' must specify 'dims' for {}", kind, io.name(), name));
  for (std::int64_t dim : io.dims()) {
    if (dim < -1 || dim == 0)
      return Invalid(fmt::format("model {} '{}' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for {}", kind,
                                 io.name(), name));
  }
  if (io.has_reshape()) {
    auto dims = ElementCount(Shape(io.dims().begin(), io.dims().end()));
    auto shape = ElementCount(Shape(io.reshape().shape().begin(), io.reshape().shape().end()));
    if (dims != shape) return Invalid(fmt::format("model {} '{}' has different size for dims and reshape for {}", kind, io.name(), name));
  }
  return Nothing{};
}

}  // namespace

Result<inference::ModelConfig> ReadConfigFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file)
    return Error(Code::kInternal, fmt::format("failed to open text file for read {}: {}", path.string(), std::strerror(errno)),
                 "unreadable");
  inference::ModelConfig config;
  google::protobuf::TextFormat::Parser parser;
  FirstError error;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text.str(), &config))
    return Error(Code::kInternal, fmt::format("failed to read text proto from {}", path.string()), "bad_model_config", error.text);
  return config;
}

Result<inference::ModelConfig> ParseConfigJson(std::string_view json) {
  inference::ModelConfig config;
  auto status = google::protobuf::util::JsonStringToMessage(google::protobuf::StringPiece(json.data(), json.size()), &config);
  if (!status.ok())
    return Error(Code::kInternal, fmt::format("Invalid config override: {}", status.message().ToString()), "bad_model_config");
  return config;
}

Result<Nothing> NormaliseConfig(std::string_view folder, inference::ModelConfig& config) {
  if (config.name().empty()) config.set_name(std::string(folder));
  const std::string& name = config.name();
  if (name != folder)
    return Invalid(fmt::format("unexpected directory name '{}' for model '{}', directory name must equal model name", folder, name));
  if (config.max_batch_size() < 0) return Invalid(fmt::format("'max_batch_size' must be non-negative value for {}", name));
  TRY_DO(CheckDynamicBatching(name, config));
  TRY_DO(CheckEnsemble(name, config));
  if (!config.version_policy().policy_choice_case()) config.mutable_version_policy()->mutable_latest()->set_num_versions(1);
  if (config.platform() != "ensemble" && config.instance_group_size() == 0) config.add_instance_group()->set_name(name);
  int number = 0;
  for (auto& group : *config.mutable_instance_group()) {
    if (group.name().empty()) group.set_name(fmt::format("{}_{}", name, number));
    if (group.count() <= 0)
      group.set_count(config.backend() == "onnxruntime" && group.kind() != inference::ModelInstanceGroup::KIND_GPU ? 2 : 1);
    ++number;
  }
  auto& optimization = *config.mutable_optimization();
  if (!optimization.has_input_pinned_memory()) optimization.mutable_input_pinned_memory()->set_enable(true);
  if (!optimization.has_output_pinned_memory()) optimization.mutable_output_pinned_memory()->set_enable(true);
  return Nothing{};
}

Result<Nothing> CheckConfigAtLoad(const inference::ModelConfig& config) {
  std::set<std::string> names;
  for (const auto& input : config.input()) {
    TRY_DO(CheckIo("input", input, config));
    if (!names.insert(input.name()).second)
      return Invalid(fmt::format("model input '{}' is given twice for {}", input.name(), config.name()));
  }
  names.clear();
  for (const auto& output : config.output()) {
    TRY_DO(CheckIo("output", output, config));
    if (!names.insert(output.name()).second)
      return Invalid(fmt::format("model output '{}' is given twice for {}", output.name(), config.name()));
  }
  for (const auto& group : config.instance_group()) {
    if (group.kind() == inference::ModelInstanceGroup::KIND_CPU && group.gpus_size() > 0)
      return Invalid(
          fmt::format("instance group {} of model {} has kind KIND_CPU but specifies one or more GPUs", group.name(), config.name()));
  }
  if (config.has_sequence_batching())
    return Error(Code::kUnsupported,
                 fmt::format("model '{}' asks for sequence_batching, which this version does not have yet", config.name()), "not_yet");
  if (config.has_ensemble_scheduling())
    return Error(Code::kUnsupported, fmt::format("model '{}' is an ensemble, which this version does not have yet", config.name()),
                 "not_yet");
  return Nothing{};
}

Datatype DatatypeOf(inference::DataType type) {
  if (type == inference::TYPE_STRING) return Datatype::kBytes;
  return static_cast<Datatype>(type);
}

static_assert(static_cast<int>(inference::TYPE_BF16) == static_cast<int>(Datatype::kBf16));
static_assert(static_cast<int>(inference::TYPE_STRING) == static_cast<int>(Datatype::kBytes));

}  // namespace nereid::models

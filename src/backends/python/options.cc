#include "backends/python/options.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include <fmt/format.h>

#include "base/log.h"
#include "proto/model_config.pb.h"

namespace nereid::python {
namespace {

constexpr std::uint64_t kRegionLeast = 1 << 20;
constexpr std::uint64_t kPage = 4096;

Result<std::uint64_t> Number(std::string_view text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= least && value <= most) return value;
  return Error(Code::kInvalidArgument, fmt::format("a number from {} to {} is needed", least, most), "bad_option");
}

Result<bool> YesOrNo(std::string_view text) {
  for (std::string_view yes : {"true", "yes", "on", "1"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"false", "no", "off", "0"}) {
    if (text == no) return false;
  }
  return Error(Code::kInvalidArgument, "yes or no is needed", "bad_option");
}

constexpr std::uint64_t kSecondsMost = 1'000'000'000;

using Apply = Result<Nothing> (*)(Options&, std::string_view);
template <auto Member>
Result<Nothing> Seconds(Options& options, std::string_view text) {
  TRY(std::uint64_t seconds, Number(text, 0, kSecondsMost));
  options.*Member = std::chrono::seconds(seconds);
  return Nothing{};
}

struct Row {
  std::string_view name;
  bool of_models;  // a parameter of a model, too
  Apply apply;     // null: accepted, and without a meaning here
};
constexpr Row kRows[] = {
    {"shm-default-byte-size", false,
     [](Options& options, std::string_view text) -> Result<Nothing> {
       TRY(options.sizes.initial, Number(text, kRegionLeast, options.sizes.most));
       options.sizes.initial = (options.sizes.initial + kPage - 1) / kPage * kPage;
       return Nothing{};
     }},
    {"shm-growth-byte-size", false,
     [](Options& options, std::string_view text) -> Result<Nothing> {
       TRY(options.sizes.growth, Number(text, 64, options.sizes.most));
       options.sizes.growth = (options.sizes.growth + kPage - 1) / kPage * kPage;
       return Nothing{};
     }},
    {"shm-region-prefix-name", false,
     [](Options& options, std::string_view text) -> Result<Nothing> {
       options.region_prefix = text;
       return Nothing{};
     }},
    {"stub-timeout-seconds", false,
     [](Options& options, std::string_view text) -> Result<Nothing> {
       TRY(std::uint64_t seconds, Number(text, 1, kSecondsMost));
       options.stub_limit = std::chrono::seconds(seconds);
       return Nothing{};
     }},
    {"thread-pool-size", false, nullptr},
    {"shm_message_queue_size", false, nullptr},
    {"executable", false,
     [](Options& options, std::string_view text) -> Result<Nothing> {
       options.executable = text;
       return Nothing{};
     }},
    {"execute-timeout-seconds", true, Seconds<&Options::execute_limit>},
    {"memory-limit-bytes", true,
     [](Options& options, std::string_view text) -> Result<Nothing> {
       TRY(options.memory_limit_bytes, Number(text, 0, INT64_MAX));
       return Nothing{};
     }},
    {"check-outputs", true,
     [](Options& options, std::string_view text) -> Result<Nothing> {
       TRY(options.check_outputs, YesOrNo(text));
       return Nothing{};
     }},
};

// Settings that Triton hands to every backend.
constexpr std::string_view kOfAllBackends[] = {"auto-complete-config", "backend-directory", "default-max-batch-size",
                                               "min-compute-capability"};

std::string ParameterName(std::string_view setting) {
  std::string name(setting);
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace

Result<Options> Options::Parse(const std::map<std::string, std::string>& settings, std::uint64_t memory_bytes) {
  Options options;
  options.sizes.most = std::max<std::uint64_t>(memory_bytes / 2, 64 << 20) / kPage * kPage;
  for (const auto& [name, value] : settings) {
    if (std::ranges::find(kOfAllBackends, name) != std::end(kOfAllBackends)) continue;
    const auto* row = std::ranges::find(kRows, name, &Row::name);
    if (row == std::end(kRows)) {
      LOG_WARNING("--backend-config=python,{}={}: the Python backend does not know this setting", name, value);
      continue;
    }
    if (!row->apply) continue;
    if (auto applied = row->apply(options, value); !applied)
      return Error(Code::kInvalidArgument, fmt::format("--backend-config=python,{}={}: {}", name, value, applied.error().message),
                   "bad_option");
  }
  options.sizes.initial = std::min(options.sizes.initial, options.sizes.most);
  return options;
}

Result<Options> Options::WithParametersOf(const inference::ModelConfig& config) const {
  Options options = *this;
  for (const Row& row : kRows) {
    if (!row.of_models) continue;
    auto parameter = config.parameters().find(ParameterName(row.name));
    if (parameter == config.parameters().end()) continue;
    const std::string& value = parameter->second.string_value();
    if (auto applied = row.apply(options, value); !applied)
      return Error(Code::kInvalidArgument,
                   fmt::format("model '{}': the parameter {} is '{}': {}", config.name(), parameter->first, value, applied.error().message),
                   "bad_model_config");
  }
  return options;
}

}  // namespace nereid::python

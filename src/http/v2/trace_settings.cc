#include "http/v2/trace_settings.h"

#include <charconv>

#include <fmt/format.h>

#include "codec/json_reader.h"

namespace nereid::http {
namespace {

using json::Reader;

std::unexpected<Status> BadJson(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_json");
}
std::unexpected<Status> Invalid(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_request");
}

// A number sent as text; null gives none.
template <class T>
Result<std::optional<T>> ReadNumber(Reader& reader, std::string_view name, std::int64_t least, std::int64_t most) {
  if (reader.Peek() == Reader::Type::kNull) {
    reader.Skip();
    return std::optional<T>();
  }
  std::string text;
  if (reader.Peek() != Reader::Type::kString || !reader.ReadString(text)) return BadJson("attempt to access JSON non-string as string");
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument) return Invalid(fmt::format("Unable to parse '{}', got: {}", name, text));
  if (name == "trace_count" && error == std::errc() && value < -1)
    return Invalid(fmt::format("Unable to parse 'trace_count'. Expecting value >= -1, got:{}", text));
  // Triton reads -1 into an unsigned number: it comes back as 4294967295.
  if (value == -1 && least == 0) value = most;
  if (error != std::errc() || value < least || value > most)
    return Invalid(fmt::format("Unable to parse '{}', value is out of range [ {}, {} ], got: {}", name, least, most, text));
  return std::optional<T>(static_cast<T>(value));
}

Result<Nothing> CheckLevels(Reader& reader) {
  if (reader.Peek() == Reader::Type::kNull) {
    reader.Skip();
    return Nothing{};
  }
  if (reader.Peek() != Reader::Type::kArray) return BadJson("attempt to access JSON non-array as array");
  reader.EnterArray();
  bool off = false, on = false;
  int count = 0;
  std::string level;
  while (reader.NextElement()) {
    if (reader.Peek() != Reader::Type::kString || !reader.ReadString(level)) return BadJson("attempt to access JSON non-string as string");
    off = off || level == "OFF";
    on = on || level == "TIMESTAMPS" || level == "TENSORS";  // others are ignored, as by Triton
    ++count;
  }
  if (off && count > 1) return Invalid("Expect only one trace level 'OFF' is specified");
  // What Triton says when it has no file to write to, which is always so here.
  if (on) return Invalid("Attempting to set invalid trace setting :trace file name is not given");
  return Nothing{};
}

}  // namespace

std::string TraceSettings::Render(const std::string& model) const {
  std::lock_guard lock(mutex_);
  Values values;
  if (auto found = models_.find(model); found != models_.end()) values = found->second;
  std::uint32_t rate = values.rate.value_or(global_.rate.value_or(1000));
  std::int64_t count = values.count.value_or(global_.count.value_or(-1));
  std::uint32_t frequency = values.log_frequency.value_or(global_.log_frequency.value_or(0));
  return fmt::format(
      R"({{"trace_level":["OFF"],"trace_rate":"{}","trace_count":"{}","log_frequency":"{}","trace_file":"","trace_mode":"triton"}})", rate,
      count, frequency);
}

Result<Nothing> TraceSettings::Apply(const std::string& model, std::string_view document) {
  if (auto problem = Reader::Check(document)) return BadJson("failed to parse the request JSON buffer: " + *problem);
  std::lock_guard lock(mutex_);
  Values values = global_;
  if (!model.empty()) {
    auto found = models_.find(model);
    values = found == models_.end() ? Values{} : found->second;
  }
  Reader reader(document);
  if (reader.Peek() == Reader::Type::kObject) {
    constexpr std::int64_t kUint32Max = std::numeric_limits<std::uint32_t>::max();
    std::string key;
    reader.EnterObject();
    while (reader.NextMember(key)) {
      if (key == "trace_file")
        return Error(Code::kUnsupported, "trace file location can not be updated through network protocol", "trace_file");
      if (key == "trace_level") {
        TRY_DO(CheckLevels(reader));
      } else if (key == "trace_rate") {
        TRY(values.rate, ReadNumber<std::uint32_t>(reader, key, 0, kUint32Max));
      } else if (key == "trace_count") {
        TRY(values.count, ReadNumber<std::int64_t>(reader, key, -1, std::numeric_limits<std::int32_t>::max()));
      } else if (key == "log_frequency") {
        TRY(values.log_frequency, ReadNumber<std::uint32_t>(reader, key, 0, kUint32Max));
      } else {
        reader.Skip();
      }
    }
  }
  if (model.empty()) global_ = values;
  else models_[model] = values;
  return Nothing{};
}

}  // namespace nereid::http

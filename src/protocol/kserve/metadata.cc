#include "protocol/kserve/metadata.h"

#include <algorithm>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "codec/json_text.h"

namespace nereid::kserve {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void Member(std::string& out, std::string_view name, std::string_view text) {
  json::AppendString(out, name);
  out += ':';
  json::AppendString(out, text);
}

void AppendTensors(std::string& out, const std::vector<TensorMetadata>& tensors) {
  out += '[';
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (i > 0) out += ',';
    out += '{';
    Member(out, "name", tensors[i].name);
    out += ',';
    Member(out, "datatype", DatatypeName(tensors[i].datatype));
    out += ",\"shape\":[";
    for (std::size_t d = 0; d < tensors[i].shape.size(); ++d) {
      if (d > 0) out += ',';
      json::AppendInt(out, tensors[i].shape[d]);
    }
    out += "]}";
  }
  out += ']';
}

void AppendMessage(std::string& out, const Message& message);

// One value: of a plain field, or item `index` of a repeated one.
void AppendValue(std::string& out, const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& r = *message.GetReflection();
  bool repeated = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      json::AppendInt(out, repeated ? r.GetRepeatedInt32(message, &field, index) : r.GetInt32(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      json::AppendInt(out, repeated ? r.GetRepeatedInt64(message, &field, index) : r.GetInt64(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      json::AppendUint(out, repeated ? r.GetRepeatedUInt32(message, &field, index) : r.GetUInt32(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      json::AppendUint(out, repeated ? r.GetRepeatedUInt64(message, &field, index) : r.GetUInt64(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      json::AppendDouble(out, repeated ? r.GetRepeatedDouble(message, &field, index) : r.GetDouble(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_FLOAT: {
      double value = static_cast<double>(repeated ? r.GetRepeatedFloat(message, &field, index) : r.GetFloat(message, &field));
      if (value == static_cast<double>(static_cast<std::int64_t>(value))) json::AppendInt(out, static_cast<std::int64_t>(value));
      else json::AppendDouble(out, value);
      break;
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      out += (repeated ? r.GetRepeatedBool(message, &field, index) : r.GetBool(message, &field)) ? "true" : "false";
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      json::AppendString(out, (repeated ? r.GetRepeatedEnum(message, &field, index) : r.GetEnum(message, &field))->name());
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      json::AppendString(out, repeated ? r.GetRepeatedString(message, &field, index) : r.GetString(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      AppendMessage(out, repeated ? r.GetRepeatedMessage(message, &field, index) : r.GetMessage(message, &field));
      break;
  }
}

void AppendMap(std::string& out, const Message& message, const FieldDescriptor& field) {
  const Reflection& r = *message.GetReflection();
  const FieldDescriptor& key = *field.message_type()->FindFieldByName("key");
  const FieldDescriptor& value = *field.message_type()->FindFieldByName("value");
  std::vector<std::pair<std::string, const Message*>> entries;  // in a fixed order
  for (int i = 0; i < r.FieldSize(message, &field); ++i) {
    const Message& entry = r.GetRepeatedMessage(message, &field, i);
    std::string text;
    AppendValue(text, entry, key, 0);
    if (!text.starts_with('"')) text = '"' + text + '"';
    entries.emplace_back(std::move(text), &entry);
  }
  std::sort(entries.begin(), entries.end());
  out += '{';
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out += ',';
    out += entries[i].first;
    out += ':';
    AppendValue(out, *entries[i].second, value, 0);
  }
  out += '}';
}

void AppendMessage(std::string& out, const Message& message) {
  const Reflection& r = *message.GetReflection();
  out += '{';
  bool comma = false;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    // Messages and members of a oneof are there only when set; everything else always.
    if (!field.is_repeated() && (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE || field.containing_oneof()) &&
        !r.HasField(message, &field))
      continue;
    if (std::exchange(comma, true)) out += ',';
    json::AppendString(out, field.name());
    out += ':';
    if (field.is_map()) {
      AppendMap(out, message, field);
    } else if (field.is_repeated()) {
      out += '[';
      for (int item = 0; item < r.FieldSize(message, &field); ++item) {
        if (item > 0) out += ',';
        AppendValue(out, message, field, item);
      }
      out += ']';
    } else {
      AppendValue(out, message, field, 0);
    }
  }
  out += '}';
}

void AppendStat(std::string& out, std::string_view name, const DurationStat& stat, bool comma = true) {
  if (comma) out += ',';
  json::AppendString(out, name);
  out += ":{\"count\":";
  json::AppendUint(out, stat.count);
  out += ",\"ns\":";
  json::AppendUint(out, stat.ns);
  out += '}';
}

}  // namespace

const std::vector<std::string>& Extensions() {
  static const std::vector<std::string> extensions = {"classification",
                                                      "sequence",
                                                      "model_repository",
                                                      "model_repository(unload_dependents)",
                                                      "schedule_policy",
                                                      "model_configuration",
                                                      "system_shared_memory",
                                                      "cuda_shared_memory",
                                                      "binary_tensor_data",
                                                      "parameters",
                                                      "statistics",
                                                      "trace",
                                                      "logging"};
  return extensions;
}

std::string RenderServerMetadata(std::string_view name, std::string_view version, std::span<const std::string> extensions) {
  std::string out = "{";
  Member(out, "name", name);
  out += ',';
  Member(out, "version", version);
  out += ",\"extensions\":[";
  for (std::size_t i = 0; i < extensions.size(); ++i) {
    if (i > 0) out += ',';
    json::AppendString(out, extensions[i]);
  }
  return out + "]}";
}

std::string RenderModelMetadata(const ModelInfo& model, bool one_version) {
  std::string out = "{";
  Member(out, "name", model.name);
  out += ",\"versions\":[";
  std::vector<std::int64_t> versions = one_version ? std::vector<std::int64_t>{model.version} : model.versions;
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (i > 0) out += ',';
    json::AppendString(out, std::to_string(versions[i]));
  }
  out += "],";
  Member(out, "platform", model.platform);
  out += ",\"inputs\":";
  AppendTensors(out, model.inputs);
  out += ",\"outputs\":";
  AppendTensors(out, model.outputs);
  return out + "}";
}

std::string RenderConfig(const Message& config) {
  std::string out;
  AppendMessage(out, config);
  return out;
}

std::string RenderStatistics(const std::vector<ModelStats>& all) {
  std::string out = "{\"model_stats\":[";
  for (std::size_t i = 0; i < all.size(); ++i) {
    const ModelStats& stats = all[i];
    if (i > 0) out += ',';
    out += '{';
    Member(out, "name", stats.name);
    out += ',';
    Member(out, "version", std::to_string(stats.version));
    out += ",\"last_inference\":";
    json::AppendUint(out, stats.last_inference_ms);
    out += ",\"inference_count\":";
    json::AppendUint(out, stats.inference_count);
    out += ",\"execution_count\":";
    json::AppendUint(out, stats.execution_count);
    out += ",\"inference_stats\":{";
    AppendStat(out, "success", stats.success, false);
    AppendStat(out, "fail", stats.fail);
    AppendStat(out, "queue", stats.queue);
    AppendStat(out, "compute_input", stats.compute_input);
    AppendStat(out, "compute_infer", stats.compute_infer);
    AppendStat(out, "compute_output", stats.compute_output);
    AppendStat(out, "cache_hit", stats.cache_hit);
    AppendStat(out, "cache_miss", stats.cache_miss);
    out += "},\"response_stats\":{";
    bool comma = false;
    for (const auto& [index, response] : stats.responses) {
      if (std::exchange(comma, true)) out += ',';
      json::AppendString(out, index);
      out += ":{";
      AppendStat(out, "compute_infer", response.compute_infer, false);
      AppendStat(out, "compute_output", response.compute_output);
      AppendStat(out, "success", response.success);
      AppendStat(out, "fail", response.fail);
      AppendStat(out, "empty_response", response.empty_response);
      AppendStat(out, "cancel", response.cancel);
      out += '}';
    }
    out += "},\"batch_stats\":[";
    for (std::size_t b = 0; b < stats.batches.size(); ++b) {
      if (b > 0) out += ',';
      out += "{\"batch_size\":";
      json::AppendInt(out, stats.batches[b].batch_size);
      AppendStat(out, "compute_input", stats.batches[b].compute_input);
      AppendStat(out, "compute_infer", stats.batches[b].compute_infer);
      AppendStat(out, "compute_output", stats.batches[b].compute_output);
      out += '}';
    }
    out += "],\"memory_usage\":[";
    for (std::size_t m = 0; m < stats.memory.size(); ++m) {
      if (m > 0) out += ',';
      out += '{';
      Member(out, "type", stats.memory[m].type);
      out += ",\"id\":";
      json::AppendInt(out, stats.memory[m].id);
      out += ",\"byte_size\":";
      json::AppendUint(out, stats.memory[m].byte_size);
      out += '}';
    }
    out += "]}";
  }
  return out + "]}";
}

std::string RenderIndex(const std::vector<IndexEntry>& index) {
  std::string out = "[";
  for (std::size_t i = 0; i < index.size(); ++i) {
    const IndexEntry& entry = index[i];
    if (i > 0) out += ',';
    out += '{';
    Member(out, "name", entry.name);
    if (entry.version) {
      out += ',';
      Member(out, "version", std::to_string(*entry.version));
      out += ',';
      Member(out, "state", entry.state);
      if (!entry.reason.empty()) {
        out += ',';
        Member(out, "reason", entry.reason);
      }
    }
    out += '}';
  }
  return out + "]";
}

}  // namespace nereid::kserve

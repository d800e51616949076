#include "protocol/kserve/infer_response.h"

#include <utility>

#include <fmt/format.h>

#include "codec/json_text.h"
#include "protocol/kserve/classify.h"
#include "protocol/kserve/tensor_data.h"

namespace nereid::kserve {
namespace {

const OutputChoice* ChoiceOf(const std::vector<OutputChoice>& outputs, std::string_view name) {
  for (const OutputChoice& output : outputs) {
    if (output.name == name) return &output;
  }
  return nullptr;
}

}  // namespace

void AppendParameterValue(std::string& out, const ParameterValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) out += *flag ? "true" : "false";
  else if (const auto* number = std::get_if<std::int64_t>(&value)) json::AppendInt(out, *number);
  else if (const auto* large = std::get_if<std::uint64_t>(&value)) json::AppendUint(out, *large);
  else if (const auto* real = std::get_if<double>(&value)) json::AppendDouble(out, *real);
  else json::AppendString(out, std::get<std::string>(value));
}

Result<RenderedInfer> RenderInferResponse(const InferResponse& response, const std::vector<OutputChoice>& outputs, bool binary_default,
                                          const Labels& labels, std::int64_t max_batch_size) {
  RenderedInfer out;
  std::string& json = out.json;
  json += '{';
  if (!response.client_id.empty()) {
    json += "\"id\":";
    json::AppendString(json, response.client_id);
    json += ',';
  }
  json += "\"model_name\":";
  json::AppendString(json, response.model_name);
  json += ",\"model_version\":\"";
  json::AppendInt(json, response.model_version);
  json += '"';
  if (!response.parameters.empty()) {
    json += ",\"parameters\":{";
    for (std::size_t i = 0; i < response.parameters.size(); ++i) {
      if (i > 0) json += ',';
      json::AppendString(json, response.parameters[i].first);
      json += ':';
      AppendParameterValue(json, response.parameters[i].second);
    }
    json += '}';
  }
  json += ",\"outputs\":[";
  bool comma = false;
  for (const Tensor& given : response.outputs) {
    const OutputChoice* choice = ChoiceOf(outputs, given.name);
    Tensor classified;
    const Tensor* tensor = &given;
    if (choice && choice->classification > 0) {
      TRY(classified, Classify(given, choice->classification, labels, max_batch_size > 0));
      tensor = &classified;
    }
    if (std::exchange(comma, true)) json += ',';
    json += "{\"name\":";
    json::AppendString(json, tensor->name);
    json += ",\"datatype\":\"";
    json += DatatypeName(tensor->datatype);
    json += "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor->shape.size(); ++i) {
      if (i > 0) json += ',';
      json::AppendInt(json, tensor->shape[i]);
    }
    json += ']';
    if (choice ? choice->binary : binary_default) {
      json += ",\"parameters\":{\"binary_data_size\":";
      json::AppendUint(json, tensor->data.size());
      json += '}';
      out.has_binary = out.has_binary || tensor->data.size() > 0;
      out.binary.push_back(tensor->data);
    } else {
      json += ",\"data\":[";
      TRY_DO(AppendData(json, tensor->datatype, tensor->data.view()));
      json += ']';
    }
    json += '}';
  }
  json += "]}";
  return out;
}

}  // namespace nereid::kserve

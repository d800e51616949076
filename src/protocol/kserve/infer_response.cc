#include "protocol/kserve/infer_response.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "codec/json_text.h"
#include "protocol/kserve/tensor_data.h"

namespace nereid::kserve {
namespace {

constexpr std::int64_t kClassifyElementsMax = 1'000'000;

const OutputChoice* ChoiceOf(const std::vector<OutputChoice>& outputs, std::string_view name) {
  for (const OutputChoice& output : outputs) {
    if (output.name == name) return &output;
  }
  return nullptr;
}

template <class T, class F>
void ClassifyRows(std::string_view wire, std::size_t row_elements, std::size_t classes, std::string& out, F format) {
  std::size_t rows = row_elements == 0 ? 0 : wire.size() / sizeof(T) / row_elements;
  std::vector<T> values(row_elements);
  std::vector<std::size_t> order(row_elements);
  for (std::size_t row = 0; row < rows; ++row) {
    std::memcpy(values.data(), wire.data() + row * row_elements * sizeof(T), row_elements * sizeof(T));
    std::iota(order.begin(), order.end(), std::size_t{0});
    // NaNs go last: an order in which they equal everything is none.
    auto before = [&](std::size_t a, std::size_t b) {
      bool a_nan = values[a] != values[a], b_nan = values[b] != values[b];
      if (a_nan || b_nan) return a_nan == b_nan ? a < b : b_nan;
      return values[a] > values[b] || (values[a] == values[b] && a < b);
    };
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(classes), order.end(), before);
    for (std::size_t i = 0; i < classes; ++i) AppendBytesElement(out, format(values[order[i]], order[i]));
  }
}

}  // namespace

void AppendParameterValue(std::string& out, const ParameterValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) out += *flag ? "true" : "false";
  else if (const auto* number = std::get_if<std::int64_t>(&value)) json::AppendInt(out, *number);
  else if (const auto* large = std::get_if<std::uint64_t>(&value)) json::AppendUint(out, *large);
  else if (const auto* real = std::get_if<double>(&value)) json::AppendDouble(out, *real);
  else json::AppendString(out, std::get<std::string>(value));
}

Result<Tensor> Classify(const Tensor& tensor, std::uint64_t classes, const Labels& labels, bool batched) {
  std::size_t lead = batched && !tensor.shape.empty() ? 1 : 0;
  auto row = ElementCount(std::span(tensor.shape).subspan(lead));
  if (!row || *row > kClassifyElementsMax) return Error(Code::kInvalidArgument, "classification output tensor too large", "bad_request");
  auto elements = static_cast<std::size_t>(*row);
  auto best = static_cast<std::size_t>(std::min<std::uint64_t>(classes, elements));
  auto names = labels.find(tensor.name);
  auto with_label = [&](std::string value, std::size_t index) {
    value += fmt::format(":{}", index);
    if (names != labels.end() && index < names->second.size()) value += ":" + names->second[index];
    return value;
  };
  auto real = [&](auto value, std::size_t index) { return with_label(fmt::format("{:f}", static_cast<double>(value)), index); };
  auto whole = [&](auto value, std::size_t index) { return with_label(fmt::format("{}", value), index); };
  std::string wire;
  std::string_view data = tensor.data.view();
  switch (tensor.datatype) {
    case Datatype::kUint8:
      ClassifyRows<std::uint8_t>(data, elements, best, wire, [&](std::uint8_t v, std::size_t i) { return whole(static_cast<int>(v), i); });
      break;
    case Datatype::kInt8:
      ClassifyRows<std::int8_t>(data, elements, best, wire, [&](std::int8_t v, std::size_t i) { return whole(static_cast<int>(v), i); });
      break;
    case Datatype::kUint16: ClassifyRows<std::uint16_t>(data, elements, best, wire, whole); break;
    case Datatype::kInt16: ClassifyRows<std::int16_t>(data, elements, best, wire, whole); break;
    case Datatype::kUint32: ClassifyRows<std::uint32_t>(data, elements, best, wire, whole); break;
    case Datatype::kInt32: ClassifyRows<std::int32_t>(data, elements, best, wire, whole); break;
    case Datatype::kUint64: ClassifyRows<std::uint64_t>(data, elements, best, wire, whole); break;
    case Datatype::kInt64: ClassifyRows<std::int64_t>(data, elements, best, wire, whole); break;
    case Datatype::kFp32: ClassifyRows<float>(data, elements, best, wire, real); break;
    case Datatype::kFp64: ClassifyRows<double>(data, elements, best, wire, real); break;
    case Datatype::kBool:
    case Datatype::kBytes:
    case Datatype::kFp16:
    case Datatype::kBf16:
    case Datatype::kInvalid:
      return Error(Code::kInvalidArgument,
                   fmt::format("class result not available for output due to unsupported type '{}'", DatatypeName(tensor.datatype)),
                   "bad_request");
  }
  Tensor out{tensor.name, Datatype::kBytes, {}, Bytes::Own(std::move(wire))};
  if (lead) out.shape.push_back(tensor.shape[0]);
  out.shape.push_back(static_cast<std::int64_t>(best));
  return out;
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
    if (choice && choice->binary ? *choice->binary : binary_default) {
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

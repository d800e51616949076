#include "protocol/kserve/generate.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "codec/json_reader.h"
#include "codec/json_text.h"
#include "protocol/kserve/infer_response.h"
#include "protocol/kserve/tensor_data.h"

namespace nereid::kserve {
namespace {

using json::Reader;
using Type = Reader::Type;

std::unexpected<Status> Invalid(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_request");
}
std::unexpected<Status> BadJson(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_json");
}

const TensorMetadata* InputOf(const ModelInfo& model, std::string_view name) {
  for (const TensorMetadata& input : model.inputs) {
    if (input.name == name) return &input;
  }
  return nullptr;
}

// Fixed dims must divide the count; the innermost -1 takes what is left, other -1 are 1.
Result<Shape> ShapeFor(const TensorMetadata& input, bool batches, std::int64_t count) {
  Shape shape = input.shape;
  std::int64_t fixed = 1;
  int inner = -1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (batches && i == 0) shape[i] = 1;
    else if (shape[i] >= 0) fixed *= shape[i];
    else inner = static_cast<int>(i);
  }
  auto misfit = [&] { return Invalid(fmt::format("The schema can not convert input '{}' to tensor with proper shape", input.name)); };
  if (fixed == 0 || count % fixed != 0 || (inner < 0 && count != fixed)) return misfit();
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) shape[i] = static_cast<int>(i) == inner ? count / fixed : 1;
  }
  return shape;
}

Result<Nothing> AddTensor(Reader& reader, const TensorMetadata& input, bool batches, InferRequest& out) {
  bool array = reader.Peek() == Type::kArray;
  if (input.datatype == Datatype::kFp16 || input.datatype == Datatype::kBf16)
    return Invalid(fmt::format("receiving {} data via JSON is not supported. Please use the binary data format for input {}",
                               DatatypeName(input.datatype), input.name));
  const char* from = reader.at();
  if (!reader.Skip()) return BadJson("failed to parse the request JSON buffer: " + reader.Problem());
  std::string_view text(from, static_cast<std::size_t>(reader.at_now() - from));
  std::string wrapped = array ? std::string(text) : fmt::format("[{}]", text);
  std::int64_t count = 0;
  bool strings = true;
  Reader elements(wrapped);
  elements.EnterArray();
  while (elements.NextElement()) {
    strings = strings && elements.Peek() == Type::kString;
    if (!elements.Skip()) break;
    ++count;
  }
  if (input.datatype == Datatype::kBytes && !strings)
    return BadJson("Unable to parse JSON bytes array: attempt to access JSON non-string as string");
  TRY(Shape shape, ShapeFor(input, batches, count));
  Reader values(wrapped);
  TRY(std::string wire, ReadData(values, input.datatype, count));
  out.inputs.push_back({input.name, input.datatype, std::move(shape), Bytes::Own(std::move(wire))});
  return Nothing{};
}

Result<Nothing> AddParameter(Reader& reader, const std::string& name, InferRequest& out) {
  std::int64_t i = 0;
  std::uint64_t u = 0;
  double d = 0;
  switch (reader.Peek()) {
    case Type::kString: {
      std::string text;
      if (!reader.ReadString(text)) break;
      out.parameters.emplace_back(name, std::move(text));
      return Nothing{};
    }
    case Type::kBool: {
      bool flag = false;
      if (!reader.ReadBool(flag)) break;
      out.parameters.emplace_back(name, flag);
      return Nothing{};
    }
    case Type::kNumber:
      switch (reader.ReadNumber(i, u, d)) {
        case Reader::Number::kInt: out.parameters.emplace_back(name, i); return Nothing{};
        case Reader::Number::kUint: out.parameters.emplace_back(name, u); return Nothing{};
        case Reader::Number::kDouble: out.parameters.emplace_back(name, d); return Nothing{};
        case Reader::Number::kNone: break;
      }
      break;
    case Type::kObject:
    case Type::kArray:
    case Type::kNull:
      if (!reader.Skip()) break;
      return Invalid(fmt::format("parameter '{}' has invalid type. It should be either 'int', 'bool', or 'string'.", name));
    case Type::kEnd:
    case Type::kInvalid: reader.Skip(); break;
  }
  return BadJson("failed to parse the request JSON buffer: " + reader.Problem());
}

Result<Nothing> AddMembers(Reader& reader, const ModelInfo& model, bool top, InferRequest& out) {
  reader.EnterObject();
  std::string key;
  while (reader.NextMember(key)) {
    const TensorMetadata* input = InputOf(model, key);
    if (top && key == "parameters") {
      if (input) return Invalid("Keyword 'parameters' for nested schema also given as input tensor name");
      if (reader.Peek() != Type::kObject) return Invalid("Expected JSON object for keyword: 'parameters'");
      TRY_DO(AddMembers(reader, model, false, out));
      continue;
    }
    if (top && key == "id" && !input) {
      if (reader.Peek() != Type::kString) return BadJson("Unable to parse 'id': attempt to access JSON non-string as string");
      if (!reader.ReadString(out.client_id)) break;
      out.parameters.emplace_back("id", out.client_id);
      continue;
    }
    if (input) {
      TRY_DO(AddTensor(reader, *input, model.max_batch_size > 0, out));
    } else {
      TRY_DO(AddParameter(reader, key, out));
    }
  }
  if (!reader.ok()) return BadJson("failed to parse the request JSON buffer: " + reader.Problem());
  return Nothing{};
}

}  // namespace

Result<InferRequest> ParseGenerateRequest(const ModelInfo& model, std::string_view body, std::uint64_t bytes_max) {
  if (body.size() > bytes_max)
    return Invalid(fmt::format(
        "request JSON size of {} bytes exceeds the maximum allowed input size of {} bytes. Use --http-max-input-size to increase the limit.",
        body.size(), bytes_max));
  bool too_deep = false;
  if (auto problem = Reader::Check(body, &too_deep)) {
    if (too_deep) return Invalid("JSON nesting depth exceeds maximum allowed limit (100)");
    return BadJson("failed to parse the request JSON buffer: " + *problem);
  }
  Reader reader(body);
  InferRequest out;
  if (reader.Peek() != Type::kObject) return BadJson("attempt to access JSON non-object as object");
  TRY_DO(AddMembers(reader, model, true, out));
  return out;
}

Result<std::string> RenderGenerateResponse(const InferResponse& response) {
  std::map<std::string, std::string, std::less<>> members;  // Triton prints them sorted by name
  if (!response.client_id.empty()) json::AppendString(members["id"], response.client_id);
  json::AppendString(members["model_name"], response.model_name);
  json::AppendString(members["model_version"], std::to_string(response.model_version));
  for (const auto& [name, value] : response.parameters) {
    std::string& text = members[name];
    text.clear();
    AppendParameterValue(text, value);
  }
  for (const Tensor& tensor : response.outputs) {
    std::string& text = members[tensor.name];
    bool one = ElementCount(tensor.shape) == 1;
    text = one ? "" : "[";
    TRY_DO(AppendData(text, tensor.datatype, tensor.data.view()));
    if (!one) text += ']';
  }
  std::string out = "{";
  for (const auto& [name, value] : members) {
    if (out.size() > 1) out += ',';
    json::AppendString(out, name);
    out += ':';
    out += value;
  }
  return out + "}";
}

}  // namespace nereid::kserve

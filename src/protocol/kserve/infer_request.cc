#include "protocol/kserve/infer_request.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "codec/json_reader.h"
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
std::unexpected<Status> WrongType(std::string_view field, std::string_view what, std::string_view as) {
  return BadJson(fmt::format("Unable to parse '{}': attempt to access JSON non-{} as {}", field, what, as));
}
std::unexpected<Status> NoMember(std::string_view field) {
  return BadJson(fmt::format("Unable to parse '{}': attempt to access non-existing object member '{}'", field, field));
}

Result<std::string> ReadText(Reader& reader, std::string_view field) {
  std::string text;
  if (reader.Peek() != Type::kString) return WrongType(field, "string", "string");
  if (!reader.ReadString(text)) return BadJson(reader.Problem());
  return text;
}

Result<bool> ReadFlag(Reader& reader, std::string_view field) {
  bool flag = false;
  if (reader.Peek() != Type::kBool) return WrongType(field, "boolean", "boolean");
  if (!reader.ReadBool(flag)) return BadJson(reader.Problem());
  return flag;
}

Result<std::uint64_t> ReadUnsigned(Reader& reader, std::string_view field) {
  std::int64_t i = 0;
  std::uint64_t u = 0;
  double d = 0;
  auto kind = reader.Peek() == Type::kNumber ? reader.ReadNumber(i, u, d) : Reader::Number::kNone;
  if ((kind == Reader::Number::kInt && i >= 0) || kind == Reader::Number::kUint) return u;
  return WrongType(field, "unsigned-integer", "unsigned-integer");
}

// A request parameter that Triton does not reserve.
Result<ParameterValue> ReadParameter(Reader& reader, const std::string& name) {
  switch (reader.Peek()) {
    case Type::kString: {
      TRY(std::string text, ReadText(reader, name));
      return ParameterValue(std::move(text));
    }
    case Type::kBool: {
      TRY(bool flag, ReadFlag(reader, name));
      return ParameterValue(flag);
    }
    case Type::kNumber: {
      std::int64_t i = 0;
      std::uint64_t u = 0;
      double d = 0;
      switch (reader.ReadNumber(i, u, d)) {
        case Reader::Number::kInt: return ParameterValue(i);
        case Reader::Number::kUint: return ParameterValue(u);
        case Reader::Number::kDouble: return ParameterValue(d);
        case Reader::Number::kNone: return BadJson(reader.Problem());
      }
      break;
    }
    default: break;
  }
  return Invalid(fmt::format("parameter '{}' has invalid type. It should be either 'int', 'bool', or 'string'.", name));
}

class Parser {
 public:
  Parser(std::string_view model, std::string_view json, Bytes binary, bool has_binary, const InferLimits& limits)
      : model_(model), json_(json), binary_(std::move(binary)), has_binary_(has_binary), limits_(limits) {}

  Result<ParsedInfer> Parse() {
    auto done = ParseRoot();
    if (done) return std::move(out_);
    // A syntax error anywhere goes before what the text seems to say.
    bool too_deep = false;
    if (auto problem = Reader::Check(json_, &too_deep)) {
      if (too_deep) return Invalid("JSON nesting depth exceeds maximum allowed limit (100)");
      return BadJson("failed to parse the request JSON buffer: " + *problem);
    }
    return std::unexpected(std::move(done).error());
  }

 private:
  struct Input {
    Tensor tensor;
    bool has_name = false, has_datatype = false, has_shape = false, region = false;
    std::optional<std::uint64_t> binary_bytes;
    std::string_view data;  // the value's text, when its type and shape came after it
    bool has_data = false, parsed = false;
  };

  Result<Nothing> ParseRoot() {
    Reader reader(json_);
    if (reader.Peek() != Type::kObject) return NoMember("inputs");
    reader.EnterObject();
    bool inputs = false;
    std::string key;
    while (reader.NextMember(key)) {
      if (key == "id") {
        TRY(out_.request.client_id, ReadText(reader, "id"));
      } else if (key == "parameters") {
        TRY_DO(ParseParameters(reader));
      } else if (key == "inputs") {
        inputs = true;
        TRY_DO(ParseInputs(reader));
      } else if (key == "outputs") {
        TRY_DO(ParseOutputs(reader));
      } else if (!reader.Skip()) {
        break;
      }
    }
    if (!reader.ok() || !reader.Finish()) return BadJson(reader.Problem());
    if (!inputs) return NoMember("inputs");
    for (const OutputChoice& output : out_.outputs) {
      // Naming an output twice asks for it once.
      auto& names = out_.request.requested_outputs;
      if (std::ranges::find(names, output.name) == names.end()) names.push_back(output.name);
    }
    if (has_binary_ && binary_at_ < binary_.size()) return Invalid(fmt::format("unexpected additional input data for model '{}'", model_));
    return Nothing{};
  }

  Result<Nothing> ParseParameters(Reader& reader) {
    if (reader.Peek() != Type::kObject) return BadJson("failed to get request params.: attempt to get members for non-object");
    reader.EnterObject();
    std::string key;
    InferRequest& request = out_.request;
    while (reader.NextMember(key)) {
      if (key == "sequence_id") {
        if (reader.Peek() == Type::kString) {
          TRY(request.correlation_id, ReadText(reader, key));
        } else {
          TRY(request.correlation_id, ReadUnsigned(reader, key));
        }
      } else if (key == "sequence_start") {
        TRY(request.sequence_start, ReadFlag(reader, key));
      } else if (key == "sequence_end") {
        TRY(request.sequence_end, ReadFlag(reader, key));
      } else if (key == "priority") {
        TRY(request.priority, ReadUnsigned(reader, key));
      } else if (key == "timeout") {
        TRY(request.timeout_us, ReadUnsigned(reader, key));
      } else if (key == "binary_data_output") {
        TRY(out_.binary_default, ReadFlag(reader, key));
      } else if (key.starts_with("triton_")) {
        return Invalid("parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified.");
      } else {
        TRY(ParameterValue value, ReadParameter(reader, key));
        request.parameters.emplace_back(key, std::move(value));
      }
    }
    return Nothing{};
  }

  Result<Nothing> ParseInputs(Reader& reader) {
    if (reader.Peek() != Type::kArray) return WrongType("inputs", "array", "array");
    reader.EnterArray();
    while (reader.NextElement()) TRY_DO(ParseInput(reader));
    return Nothing{};
  }

  Result<Nothing> ParseInput(Reader& reader) {
    Input input;
    if (reader.Peek() == Type::kObject) {
      reader.EnterObject();
      std::string key;
      while (reader.NextMember(key)) {
        if (key == "name") {
          input.has_name = true;
          TRY(input.tensor.name, ReadText(reader, "name"));
        } else if (key == "datatype") {
          input.has_datatype = true;
          TRY(std::string text, ReadText(reader, "datatype"));
          input.tensor.datatype = ParseDatatype(text);
        } else if (key == "shape") {
          TRY_DO(ParseShape(reader, input));
        } else if (key == "parameters") {
          TRY_DO(ParseInputParameters(reader, input));
        } else if (key == "data") {
          TRY_DO(ParseData(reader, input));
        } else if (!reader.Skip()) {
          break;
        }
      }
    } else if (!reader.Skip()) {
      return BadJson(reader.Problem());
    }
    if (!reader.ok()) return BadJson(reader.Problem());
    return FinishInput(input);
  }

  Result<Nothing> ParseShape(Reader& reader, Input& input) {
    if (reader.Peek() != Type::kArray) return WrongType("shape", "array", "array");
    input.has_shape = true;
    reader.EnterArray();
    while (reader.NextElement()) {
      TRY(std::uint64_t dim, ReadUnsigned(reader, "shape"));
      // A dim past int64 is kept as one that cannot be, and refused by name once the name is known.
      input.tensor.shape.push_back(
          dim > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ? std::int64_t{-1} : static_cast<std::int64_t>(dim));
    }
    return Nothing{};
  }

  Result<Nothing> ParseInputParameters(Reader& reader, Input& input) {
    if (reader.Peek() != Type::kObject) return WrongType("parameters", "object", "object");
    reader.EnterObject();
    std::string key;
    while (reader.NextMember(key)) {
      if (key == "binary_data_size") {
        TRY(input.binary_bytes, ReadUnsigned(reader, key));
      } else if (key == "shared_memory_region") {
        TRY_DO(ReadText(reader, key));
        input.region = true;
      } else if (!reader.Skip()) {
        break;
      }
    }
    return Nothing{};
  }

  // Elements go to wire form at once when type and shape are known; else when the object has ended.
  Result<Nothing> ParseData(Reader& reader, Input& input) {
    input.has_data = true;
    if (input.has_datatype && input.has_shape && input.has_name && !input.binary_bytes && !input.region) {
      TRY_DO(ReadTensor(reader, input));
      input.parsed = true;
      return Nothing{};
    }
    const char* from = reader.at();
    if (!reader.Skip()) return BadJson(reader.Problem());
    input.data = std::string_view(from, static_cast<std::size_t>(reader.at_now() - from));
    return Nothing{};
  }

  Result<std::int64_t> CheckedCount(const Input& input) const {
    const Tensor& tensor = input.tensor;
    for (std::int64_t dim : tensor.shape) {
      if (dim < 0)
        return Invalid(fmt::format("invalid shape for input '{}': shape {} contains one or more invalid dimensions", tensor.name,
                                   ShapeText(tensor.shape)));
    }
    auto count = ElementCount(tensor.shape);
    if (!count)
      return Invalid(fmt::format("invalid shape for input '{}': shape {} causes total element count to exceed maximum size of {}",
                                 tensor.name, ShapeText(tensor.shape), std::numeric_limits<std::int64_t>::max()));
    return *count;
  }

  Result<Nothing> ReadTensor(Reader& reader, Input& input) {
    Tensor& tensor = input.tensor;
    if (tensor.datatype == Datatype::kInvalid) return Invalid(fmt::format("invalid datatype for input {}", tensor.name));
    TRY(std::int64_t count, CheckedCount(input));
    if (tensor.datatype == Datatype::kFp16 || tensor.datatype == Datatype::kBf16)
      return Invalid(fmt::format("receiving {} data via JSON is not supported. Please use the binary data format for input {}",
                                 DatatypeName(tensor.datatype), tensor.name));
    std::int64_t bytes = 0;
    std::int64_t element = static_cast<std::int64_t>(ElementBytes(tensor.datatype));
    if (__builtin_mul_overflow(count, std::max<std::int64_t>(element, 1), &bytes))
      return Invalid(
          fmt::format("byte size overflow for input '{}': element count ({}) * data type size ({}) exceeds maximum allowed size ({})",
                      tensor.name, count, element, std::numeric_limits<std::int64_t>::max()));
    if (static_cast<std::uint64_t>(bytes) > limits_.json_bytes_max)
      return Invalid(fmt::format(
          "JSON input '{}' has a byte_size ({} bytes) that exceeds the maximum allowed value of {} bytes. Use --http-max-input-size to increase the limit.",
          tensor.name, bytes, limits_.json_bytes_max));
    Reader again = reader;
    auto wire = ReadData(reader, tensor.datatype, count);
    if (!wire && tensor.shape.empty() && again.Skip()) {
      // No shape at all is the model's to judge, which says it better than a count of elements could.
      reader = std::move(again);
      return Nothing{};
    }
    if (!wire) return std::unexpected(std::move(wire).error());
    tensor.data = Bytes::Own(*std::move(wire));
    return Nothing{};
  }

  Result<Nothing> FinishInput(Input& input) {
    std::string sources;
    int count = 0;
    for (auto [is_set, name] : {std::pair{input.has_data, " 'data'"}, std::pair{input.binary_bytes.has_value(), " 'binary_data_size'"},
                                std::pair{input.region, " 'shared_memory_region'"}}) {
      if (!is_set) continue;
      sources += name;
      ++count;
    }
    if (count != 1)
      return Invalid(fmt::format(
          "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in 'parameters'. But {}",
          count == 0 ? "no field is set" : "set" + sources));
    if (!input.has_name) return NoMember("name");
    if (!input.has_shape) return NoMember("shape");
    if (!input.has_datatype) return NoMember("datatype");
    Tensor& tensor = input.tensor;
    if (tensor.datatype == Datatype::kInvalid) return Invalid(fmt::format("invalid datatype for input {}", tensor.name));
    if (input.region)
      return Error(Code::kUnsupported, "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.",
                   "shm_disabled");
    if (input.binary_bytes) {
      if (!has_binary_)
        return Invalid(
            "must specify valid 'Infer-Header-Content-Length' in request header and 'binary_data_size' when passing inputs in binary data format");
      TRY_DO(CheckedCount(input));
      std::uint64_t left = binary_.size() - binary_at_;
      if (*input.binary_bytes > left)
        return Invalid(fmt::format("unexpected size for input '{}', expecting {} additional bytes for model '{}'", tensor.name,
                                   *input.binary_bytes - left, model_));
      TakeBinary(tensor, static_cast<std::size_t>(*input.binary_bytes));
    } else if (!input.parsed) {
      Reader reader(input.data);
      TRY_DO(ReadTensor(reader, input));
    }
    out_.request.inputs.push_back(std::move(tensor));
    return Nothing{};
  }

  void TakeBinary(Tensor& tensor, std::size_t bytes) {
    tensor.data = binary_.Slice(binary_at_, bytes);
    binary_at_ += bytes;
    std::size_t alignment = std::max<std::size_t>(1, ElementBytes(tensor.datatype));
    if (reinterpret_cast<std::uintptr_t>(tensor.data.data()) % alignment != 0)
      tensor.data = Bytes::Own(std::vector<char>(tensor.data.data(), tensor.data.data() + bytes));
  }

  Result<Nothing> ParseOutputs(Reader& reader) {
    if (reader.Peek() != Type::kArray) return WrongType("outputs", "array", "array");
    reader.EnterArray();
    while (reader.NextElement()) {
      OutputChoice output;
      bool named = false;
      if (reader.Peek() == Type::kObject) {
        reader.EnterObject();
        std::string key;
        while (reader.NextMember(key)) {
          if (key == "name") {
            named = true;
            TRY(output.name, ReadText(reader, "name"));
          } else if (key == "parameters") {
            TRY_DO(ParseOutputParameters(reader, output));
          } else if (!reader.Skip()) {
            break;
          }
        }
      } else if (!reader.Skip()) {
        return BadJson(reader.Problem());
      }
      if (!reader.ok()) return BadJson(reader.Problem());
      if (!named) return NoMember("name");
      out_.outputs.push_back(std::move(output));
    }
    return Nothing{};
  }

  Result<Nothing> ParseOutputParameters(Reader& reader, OutputChoice& output) {
    if (reader.Peek() != Type::kObject) return WrongType("parameters", "object", "object");
    reader.EnterObject();
    std::string key;
    while (reader.NextMember(key)) {
      if (key == "binary_data") {
        TRY(output.binary, ReadFlag(reader, key));
      } else if (key == "classification") {
        auto classes = ReadUnsigned(reader, key);
        if (!classes) return BadJson("Unable to set 'classification': attempt to access JSON non-unsigned-integer as unsigned-integer");
        output.classification = *classes;
      } else if (key == "shared_memory_region") {
        return Error(Code::kUnsupported, "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.",
                     "shm_disabled");
      } else if (!reader.Skip()) {
        break;
      }
    }
    return Nothing{};
  }

  const std::string_view model_;
  const std::string_view json_;
  const Bytes binary_;
  std::size_t binary_at_ = 0;
  const bool has_binary_;
  const InferLimits& limits_;
  ParsedInfer out_;
};

// atoi's reading of the header, as Triton: "12x" is 12 and "abc" is 0.
Result<std::int64_t> HeaderLength(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  if (!rest.empty() && rest.front() == '+') rest.remove_prefix(1);
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error == std::errc::result_out_of_range || value > std::numeric_limits<std::int32_t>::max() ||
      value < std::numeric_limits<std::int32_t>::min())
    return Invalid(
        fmt::format("Unable to parse Inference-Header-Content-Length, value is out of range [ -2147483648, 2147483647 ], got: {}", text));
  return value;
}

}  // namespace

Result<ParsedInfer> ParseInferRequest(std::string_view model, const Bytes& body, std::optional<std::string_view> header_length,
                                      const InferLimits& limits, const Bytes& tail) {
  const std::size_t all_bytes = body.size() + tail.size();
  std::size_t json_bytes = all_bytes;
  bool raw = all_bytes == 0;
  if (header_length) {
    TRY(std::int64_t length, HeaderLength(*header_length));
    if (length < 0 || length > static_cast<std::int64_t>(all_bytes))
      return Invalid(fmt::format("inference header size should be in range (0, {}), got: {}", all_bytes, *header_length));
    json_bytes = static_cast<std::size_t>(length);
    raw = raw || length == 0;
  }
  NEREID_CHECK(tail.size() == 0 || body.size() == json_bytes);
  Bytes binary = tail.size() > 0 ? tail : body.Slice(json_bytes, body.size() - json_bytes);
  if (raw) {
    if (all_bytes > limits.json_bytes_max)
      return Invalid(fmt::format(
          "Raw input has a byte_size ({} bytes) that exceeds the maximum allowed value of {} bytes. Use --http-max-input-size to increase the limit.",
          all_bytes, limits.json_bytes_max));
    ParsedInfer out;
    out.request.raw = true;
    out.request.inputs.push_back({"", Datatype::kInvalid, {}, std::move(binary)});
    out.binary_default = true;
    return out;
  }
  if (json_bytes > limits.json_bytes_max)
    return Invalid(fmt::format(
        "request JSON size of {} bytes exceeds the maximum allowed input size of {} bytes. Use --http-max-input-size to increase the limit.",
        json_bytes, limits.json_bytes_max));
  return Parser(model, body.view().substr(0, json_bytes), std::move(binary), header_length.has_value(), limits).Parse();
}

}  // namespace nereid::kserve

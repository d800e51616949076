#include "backends/python/messages.h"

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "codec/json_reader.h"
#include "codec/json_text.h"

namespace nereid::python {
namespace {

constexpr std::array<Code, 8> kTritonCodes = {Code::kInternal,    Code::kInternal,    Code::kNotFound, Code::kInvalidArgument,
                                              Code::kUnavailable, Code::kUnsupported, Code::kConflict, Code::kCancelled};

constexpr std::size_t kShapeMost = 1024;  // dims of a tensor, far beyond any

Result<Tensor> ReadTensor(PackReader& reader, const Message& message) {
  auto broken = [&reader] {
    reader.Refuse();
    return Error(Code::kInternal, "the worker's message has a tensor that makes no sense", "bad_message");
  };
  if (reader.Array() != 5) return broken();
  Tensor tensor;
  tensor.name = reader.Text();
  std::uint64_t datatype = reader.Uint();
  std::size_t dims = reader.Array();
  if (!reader.ok() || datatype == 0 || datatype > static_cast<std::uint64_t>(Datatype::kBf16) || dims > kShapeMost) return broken();
  tensor.datatype = static_cast<Datatype>(datatype);
  for (std::size_t i = 0; i < dims; ++i) tensor.shape.push_back(reader.Int());
  std::uint64_t offset = reader.Uint(), size = reader.Uint();
  if (!reader.ok() || offset % kBlockAlign != 0 || offset > message.tensors_size || size > message.tensors_size - offset) return broken();
  auto count = ElementCount(tensor.shape);
  std::uint64_t bytes = 0;
  if (!count) return broken();
  if (tensor.datatype != Datatype::kBytes &&
      (__builtin_mul_overflow(static_cast<std::uint64_t>(*count), ElementBytes(tensor.datatype), &bytes) || bytes != size))
    return broken();
  tensor.data = Bytes(message.block, message.tensors + offset, size);
  return tensor;
}

}  // namespace

std::size_t LayOut(const Channel* channel, const std::vector<Tensor>& tensors, std::size_t at, std::vector<TensorPlace>& places) {
  for (const Tensor& tensor : tensors) {
    places.push_back(channel ? channel->FindLent(tensor.data) : TensorPlace{});
    if (places.back().block != 0) continue;
    places.back().offset = at;
    at = AlignBlock(at + tensor.data.size());
  }
  return at;
}

void HandOver(const std::vector<Tensor>& tensors, const TensorPlace* places, char* to) {
  for (const Tensor& tensor : tensors) {
    if (places->block != 0) BlockKeep(const_cast<char*>(tensor.data.data()) - places->offset);
    else if (tensor.data.size() > 0) std::memcpy(to + places->offset, tensor.data.data(), tensor.data.size());
    ++places;
  }
}

void PackTensor(PackWriter& writer, const Tensor& tensor, const TensorPlace& place) {
  writer.Array(6).Text(tensor.name).Uint(static_cast<std::uint64_t>(tensor.datatype)).Array(tensor.shape.size());
  for (std::int64_t dim : tensor.shape) writer.Int(dim);
  writer.Uint(place.offset).Uint(tensor.data.size()).Uint(place.block);
}

Result<std::vector<Tensor>> ReadTensors(PackReader& reader, const Message& message) {
  std::vector<Tensor> tensors;
  for (std::size_t count = reader.Array(); count > 0; --count) {
    TRY(Tensor tensor, ReadTensor(reader, message));
    tensors.push_back(std::move(tensor));
  }
  if (!reader.ok()) return Error(Code::kInternal, "the worker's message is cut short", "bad_message");
  return tensors;
}

std::string ParametersJson(const Parameters& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    out += out.empty() ? '{' : ',';
    json::AppendString(out, name);
    out += ':';
    std::visit(
        [&out](const auto& each) {
          using T = std::decay_t<decltype(each)>;
          if constexpr (std::is_same_v<T, bool>) out += each ? "true" : "false";
          else if constexpr (std::is_same_v<T, std::int64_t>) json::AppendInt(out, each);
          else if constexpr (std::is_same_v<T, std::uint64_t>) json::AppendUint(out, each);
          else if constexpr (std::is_same_v<T, double>) json::AppendDouble(out, each);
          else json::AppendString(out, each);
        },
        value);
  }
  if (!out.empty()) out += '}';
  return out;
}

Result<Parameters> ReadParametersJson(std::string_view text) {
  Parameters out;
  json::Reader reader(text);
  std::string key;
  if (text.empty()) return out;
  if (!reader.EnterObject()) return Error(Code::kInternal, "the parameters of a response are no JSON object", "bad_message");
  while (reader.NextMember(key)) {
    std::int64_t as_int = 0;
    std::uint64_t as_uint = 0;
    double as_double = 0;
    std::string as_text;
    bool as_bool = false;
    if (reader.Peek() == json::Reader::Type::kString && reader.ReadString(as_text)) {
      out.emplace_back(key, std::move(as_text));
    } else if (reader.Peek() == json::Reader::Type::kBool && reader.ReadBool(as_bool)) {
      out.emplace_back(key, as_bool);
    } else {
      switch (reader.ReadNumber(as_int, as_uint, as_double)) {
        case json::Reader::Number::kInt: out.emplace_back(key, as_int); break;
        case json::Reader::Number::kUint: out.emplace_back(key, as_uint); break;
        case json::Reader::Number::kDouble: out.emplace_back(key, as_double); break;
        case json::Reader::Number::kNone:
          return Error(Code::kInternal, fmt::format("the parameter '{}' of a response is no bool, number or string", key), "bad_message");
      }
    }
  }
  if (!reader.ok()) return Error(Code::kInternal, "the parameters of a response are no JSON", "bad_message");
  return out;
}

Code CodeOf(std::int64_t triton_code) {
  return triton_code >= 0 && triton_code < static_cast<std::int64_t>(kTritonCodes.size())
             ? kTritonCodes[static_cast<std::size_t>(triton_code)]
             : Code::kInternal;
}

std::int64_t TritonCodeOf(Code code) {
  for (std::size_t i = kTritonCodes.size(); i-- > 1;) {
    if (kTritonCodes[i] == code) return static_cast<std::int64_t>(i);
  }
  return 1;  // internal
}

Result<Nothing> ReadResponse(PackReader& reader, const Message& message, InferResponse& response) {
  auto broken = [&reader] {
    reader.Refuse();
    return Error(Code::kInternal, "the worker's message has a response that makes no sense", "bad_message");
  };
  if (reader.Array() != 3) return broken();
  if (!reader.TakeNil()) {
    if (reader.Array() != 2) return broken();
    std::int64_t code = reader.Int();
    response.error = Status{CodeOf(code), std::string(reader.Text()), code == 0 ? "unknown_error" : "model_error", ""};
  }
  std::string_view parameters = reader.Text();
  TRY(response.outputs, ReadTensors(reader, message));
  if (!parameters.empty()) {  // last, so that the reader stands behind the response whatever they hold
    TRY(response.parameters, ReadParametersJson(parameters));
  }
  return Nothing{};
}

}  // namespace nereid::python

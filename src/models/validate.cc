#include "models/validate.h"

#include <algorithm>
#include <cstring>
#include <ranges>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "models/config/model_config.h"

namespace nereid::models {
namespace {

std::unexpected<Status> Invalid(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message), "bad_request");
}

std::string Quoted(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += fmt::format("{}'{}'", text.empty() ? "" : ",", name);
  return text;
}

// BYTES in wire form: `expected` elements, each with its length.
Result<Nothing> CheckBytes(const Tensor& tensor, std::int64_t expected, const std::string& model, const RequestPrefix& prefix) {
  std::string_view rest = tensor.data.view();
  std::int64_t count = 0;
  while (!rest.empty()) {
    if (count >= expected)
      return Invalid(fmt::format("{}unexpected number of string elements {} for inference input '{}' for model '{}', expecting {}", prefix,
                                 count + 1, tensor.name, model, expected));
    if (rest.size() < 4)
      return Invalid(fmt::format(
          "{}incomplete string length indicator for inference input '{}' for model '{}', expecting 4 bytes but only {} bytes available. Please make sure the string length indicator is in one buffer.",
          prefix, tensor.name, model, rest.size()));
    std::uint32_t length;
    std::memcpy(&length, rest.data(), 4);
    rest.remove_prefix(4);
    if (length > rest.size())
      return Invalid(fmt::format(
          "{}incomplete string data for inference input '{}' for model '{}', expecting string of length {} but only {} bytes available. Please make sure the string is in one buffer.",
          prefix, tensor.name, model, length, rest.size()));
    rest.remove_prefix(length);
    ++count;
  }
  if (count != expected)
    return Invalid(fmt::format("{}expected {} string elements for inference input '{}' for model '{}', got {}", prefix, expected,
                               tensor.name, model, count));
  return Nothing{};
}

}  // namespace

RequestRules::RequestRules(const inference::ModelConfig& config) : model_(config.name()), max_batch_size_(config.max_batch_size()) {
  for (const auto& input : config.input()) {
    inputs_.push_back({input.name(), DatatypeOf(input.data_type()), Shape(input.dims().begin(), input.dims().end()), input.optional()});
    if (!input.optional()) ++required_;
  }
  for (const auto& output : config.output()) outputs_.push_back(output.name());
}

const RequestRules::Input* RequestRules::Find(std::string_view name) const {
  for (const Input& input : inputs_) {
    if (input.name == name) return &input;
  }
  return nullptr;
}

Result<Nothing> RequestRules::Check(InferRequest& request) const {
  const RequestPrefix prefix{request};
  if (request.raw) TRY_DO(CompleteRaw(request, prefix));
  for (std::size_t i = 0; i < request.requested_outputs.size(); ++i) {
    const std::string& output = request.requested_outputs[i];
    if (std::find(outputs_.begin(), outputs_.end(), output) == outputs_.end())
      return Invalid(fmt::format("unexpected inference output '{}' for model '{}'", output, model_));
  }
  TRY_DO(CheckCount(request, prefix));
  TRY_DO(CheckBatch(request, prefix));
  // Triton keeps its inputs in a hash map, and so looks at the last one first.
  for (const Tensor& tensor : std::views::reverse(request.inputs)) {
    const Input* input = Find(tensor.name);
    if (!input) return Invalid(fmt::format("unexpected inference input '{}' for model '{}'", tensor.name, model_));
    TRY_DO(CheckTensor(*input, tensor, prefix));
  }
  return Nothing{};
}

Result<Nothing> RequestRules::CompleteRaw(InferRequest& request, const RequestPrefix& prefix) const {
  if (inputs_.size() != 1)
    return Invalid(fmt::format("{}Raw request must only have 1 input (found 1) to be deduced but got {} inputs in '{}' model configuration",
                               prefix, inputs_.size(), model_));
  const Input& input = inputs_.front();
  Tensor& tensor = request.inputs.front();
  tensor.name = input.name;
  tensor.datatype = input.datatype;
  if (input.datatype == Datatype::kBytes) {
    if (input.dims != Shape{1})
      return Invalid(fmt::format("{}For BYTE datatype raw input '{}', the model must have input shape [1]", prefix, input.name));
    std::string wire;
    AppendBytesElement(wire, tensor.data.view());
    tensor.data = Bytes::Own(std::move(wire));
    tensor.shape = {1};
  } else {
    std::int64_t known = static_cast<std::int64_t>(ElementBytes(input.datatype));
    int variable = 0;
    for (std::int64_t dim : input.dims) dim < 0 ? void(++variable) : void(known *= dim);
    if (variable > 1)
      return Invalid(
          fmt::format("{}The shape of the raw input '{}' can not be deduced because there are more than one variable-sized dimension",
                      prefix, input.name));
    tensor.shape = input.dims;
    std::replace(tensor.shape.begin(), tensor.shape.end(), std::int64_t{-1},
                 known > 0 ? static_cast<std::int64_t>(tensor.data.size()) / known : 0);
  }
  if (batches()) tensor.shape.insert(tensor.shape.begin(), 1);
  return Nothing{};
}

Result<Nothing> RequestRules::CheckCount(const InferRequest& request, const RequestPrefix& prefix) const {
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (request.inputs[i].name == request.inputs[j].name)
        return Invalid(fmt::format("{}input '{}' already exists in request", prefix, request.inputs[i].name));
    }
  }
  for (std::size_t i = 0; i < request.requested_outputs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (request.requested_outputs[i] == request.requested_outputs[j])
        return Invalid(fmt::format("{}output '{}' already exists in request", prefix, request.requested_outputs[i]));
    }
  }
  std::size_t count = request.inputs.size();
  if (count >= required_ && count <= inputs_.size()) {
    bool complete = true;
    for (const Input& input : inputs_) {
      bool there = std::any_of(request.inputs.begin(), request.inputs.end(), [&](const Tensor& t) { return t.name == input.name; });
      complete = complete && (input.optional || there);
    }
    if (complete || required_ == inputs_.size()) return Nothing{};  // a wrong name at the right count is told by name
  }
  std::vector<std::string> given, missing;
  for (const Tensor& tensor : std::views::reverse(request.inputs)) given.push_back(tensor.name);
  for (const Input& input : inputs_) {
    bool there = std::any_of(request.inputs.begin(), request.inputs.end(), [&](const Tensor& t) { return t.name == input.name; });
    if (!there && !input.optional) missing.push_back(input.name);
  }
  std::string wanted = required_ == inputs_.size() ? fmt::format("expected {} inputs", required_)
                                                   : fmt::format("expected number of inputs between {} and {}", required_, inputs_.size());
  std::string lacks = missing.empty() ? "" : fmt::format("[{}", Quoted(missing));  // Triton loses the bracket of an empty list
  return Invalid(fmt::format(
      "{}{} but got {} inputs for model '{}'. Got input(s) [{}], but missing required input(s) {}]. Please provide all required input(s).",
      prefix, wanted, count, model_, Quoted(given), lacks));
}

Result<Nothing> RequestRules::CheckBatch(const InferRequest& request, const RequestPrefix& prefix) const {
  if (!batches()) return Nothing{};
  std::int64_t batch = -1;
  for (const Tensor& tensor : request.inputs) {
    if (!Find(tensor.name)) return Invalid(fmt::format("unexpected inference input '{}' for model '{}'", tensor.name, model_));
    if (tensor.shape.empty())
      return Invalid(fmt::format("{}input '{}' has no shape but model requires batch dimension for '{}'", prefix, tensor.name, model_));
    if (batch >= 0 && tensor.shape[0] != batch)
      return Invalid(fmt::format("{}input '{}' batch size does not match other inputs for '{}'", prefix, tensor.name, model_));
    batch = tensor.shape[0];
  }
  if (batch > max_batch_size_)
    return Invalid(fmt::format("{}inference request batch-size must be <= {} for '{}'", prefix, max_batch_size_, model_));
  return Nothing{};
}

Result<Nothing> RequestRules::CheckTensor(const Input& input, const Tensor& tensor, const RequestPrefix& prefix) const {
  if (tensor.datatype != input.datatype)
    return Invalid(fmt::format("{}inference input '{}' data-type is '{}', but model '{}' expects '{}'", prefix, tensor.name,
                               DatatypeName(tensor.datatype), model_, DatatypeName(input.datatype)));
  std::size_t lead = batches() ? 1 : 0;
  bool fits = tensor.shape.size() == input.dims.size() + lead;
  for (std::size_t i = 0; fits && i < input.dims.size(); ++i) fits = input.dims[i] < 0 || input.dims[i] == tensor.shape[i + lead];
  for (std::int64_t dim : tensor.shape) {
    if (dim < 0)
      return Invalid(fmt::format("{}All input dimensions should be specified for input '{}' for model '{}', got {}", prefix, tensor.name,
                                 model_, ShapeText(tensor.shape)));
  }
  if (!fits) {
    Shape expected = input.dims;
    if (batches()) expected.insert(expected.begin(), -1);
    std::string note =
        !batches()
            ? ""
            : " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting max_batch_size to zero. See the model configuration docs for more info on max_batch_size.";
    return Invalid(fmt::format("{}unexpected shape for input '{}' for model '{}'. Expected {}, got {}.{}", prefix, tensor.name, model_,
                               ShapeText(expected), ShapeText(tensor.shape), note));
  }
  auto count = ElementCount(tensor.shape);
  std::int64_t bytes = 0;
  // Triton takes no batch for a batch of one, whose bytes are missing then.
  if (batches() && tensor.shape[0] == 0) count = ElementCount(std::span(tensor.shape).subspan(1));
  if (!count || __builtin_mul_overflow(*count, static_cast<std::int64_t>(std::max<std::size_t>(1, ElementBytes(input.datatype))), &bytes))
    return Invalid(
        fmt::format("{}invalid shape for input '{}': shape {} causes total element count to exceed maximum size of 9223372036854775807",
                    prefix, tensor.name, ShapeText(tensor.shape)));
  if (input.datatype == Datatype::kBytes) return CheckBytes(tensor, *count, model_, prefix);
  if (static_cast<std::int64_t>(tensor.data.size()) != bytes)
    return Invalid(fmt::format("{}input byte size mismatch for input '{}' for model '{}'. Expected {}, got {}", prefix, tensor.name, model_,
                               bytes, tensor.data.size()));
  return Nothing{};
}

}  // namespace nereid::models

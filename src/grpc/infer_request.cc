#include "grpc/infer_request.h"

#include <charconv>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include "grpc/contents.h"
#include "proto/grpc_service.pb.h"

namespace nereid::grpc_front {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using inference::InferParameter;
using inference::ModelInferRequest;

constexpr int kRawInputContentsField = 7;

std::unexpected<Status> Invalid(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message));
}

// The field's bytes where they lie. `apart`: the next that are not in the message itself.
Result<Bytes> ReadBytes(CodedInputStream& in, const Received& message, std::vector<Received::Apart>::const_iterator& apart) {
  std::uint32_t size = 0;
  if (!in.ReadVarint32(&size)) return Invalid("malformed message");
  auto at = static_cast<std::size_t>(in.CurrentPosition());
  if (apart != message.apart.end() && apart->at == at) return apart++->bytes;
  if (!in.Skip(static_cast<int>(std::min<std::uint32_t>(size, std::numeric_limits<int>::max()))) || size > message.bytes.size() - at)
    return Invalid("malformed message");
  return message.bytes.Slice(at, size);
}

// Protobuf puts bytes anywhere; elements must lie at a multiple of their size.
Result<Bytes> Aligned(const Bytes& bytes, Datatype datatype) {
  std::size_t alignment = std::max<std::size_t>(ElementBytes(datatype), 1);
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment == 0) return bytes;
  TRY(OutputAllocator::Buffer copy, HeapAllocator().Allocate("", bytes.size()));
  std::memcpy(copy.data, bytes.data(), bytes.size());
  return Bytes(copy.owner, copy.data, bytes.size());
}

// Which kind a parameter has, as Triton names it.
bool IsInt(const InferParameter& p) {
  return p.parameter_choice_case() == InferParameter::kInt64Param;
}
bool IsBool(const InferParameter& p) {
  return p.parameter_choice_case() == InferParameter::kBoolParam;
}
bool IsString(const InferParameter& p) {
  return p.parameter_choice_case() == InferParameter::kStringParam;
}
bool IsUint(const InferParameter& p) {
  return p.parameter_choice_case() == InferParameter::kUint64Param;
}

std::unexpected<Status> WrongType(std::string_view key, std::string_view expected) {
  return Invalid(fmt::format("invalid value type for '{}' parameter, expected {}.", key, expected));
}

using Apply = Result<Nothing> (*)(const std::string& key, const InferParameter& value, ParsedRequest& out);
struct ReservedParameter {
  std::string_view key;
  Apply apply;
};

Result<Nothing> SequenceId(const std::string& key, const InferParameter& value, ParsedRequest& out) {
  if (IsInt(value)) out.request.correlation_id = static_cast<std::uint64_t>(value.int64_param());
  else if (IsString(value)) out.request.correlation_id = value.string_param();
  else return WrongType(key, "int64_param or string_param");
  return Nothing{};
}
Result<Nothing> SequenceStart(const std::string& key, const InferParameter& value, ParsedRequest& out) {
  if (!IsBool(value)) return WrongType(key, "bool_param");
  out.request.sequence_start = value.bool_param();
  return Nothing{};
}
Result<Nothing> SequenceEnd(const std::string& key, const InferParameter& value, ParsedRequest& out) {
  if (!IsBool(value)) return WrongType(key, "bool_param");
  out.request.sequence_end = value.bool_param();
  return Nothing{};
}
Result<Nothing> Priority(const std::string& key, const InferParameter& value, ParsedRequest& out) {
  if (IsUint(value)) {
    out.request.priority = value.uint64_param();
  } else if (IsInt(value)) {
    if (value.int64_param() < 0) return Invalid(fmt::format("invalid value for '{}' parameter, expected >= 0", key));
    out.request.priority = static_cast<std::uint64_t>(value.int64_param());
  } else {
    return WrongType(key, "int64_param or uint64_param");
  }
  return Nothing{};
}
Result<Nothing> Timeout(const std::string& key, const InferParameter& value, ParsedRequest& out) {
  if (!IsInt(value)) return WrongType(key, "int64_param");
  if (value.int64_param() < 0) return Invalid(fmt::format("invalid value for '{}' parameter, expected >= 0", key));
  out.request.timeout_us = static_cast<std::uint64_t>(value.int64_param());
  return Nothing{};
}
Result<Nothing> EmptyFinal(const std::string& key, const InferParameter& value, ParsedRequest& out) {
  if (!IsBool(value)) return WrongType(key, "bool_param");
  out.answer.empty_final_response = value.bool_param();
  return Nothing{};
}

constexpr ReservedParameter kReserved[] = {{"sequence_id", SequenceId},   {"sequence_start", SequenceStart},
                                           {"sequence_end", SequenceEnd}, {"priority", Priority},
                                           {"timeout", Timeout},          {"triton_enable_empty_final_response", EmptyFinal}};

Result<Nothing> TakeParameter(const std::string& key, const InferParameter& value, ParsedRequest& out) {
  for (const ReservedParameter& row : kReserved) {
    if (row.key == key) return row.apply(key, value, out);
  }
  if (key.starts_with("triton_"))
    return Invalid(
        "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: "
        "triton_enable_empty_final_response");
  switch (value.parameter_choice_case()) {
    case InferParameter::kBoolParam: out.request.parameters.emplace_back(key, value.bool_param()); break;
    case InferParameter::kInt64Param: out.request.parameters.emplace_back(key, static_cast<std::int64_t>(value.int64_param())); break;
    case InferParameter::kStringParam: out.request.parameters.emplace_back(key, value.string_param()); break;
    case InferParameter::kDoubleParam: out.request.parameters.emplace_back(key, value.double_param()); break;
    case InferParameter::kUint64Param:
    case InferParameter::PARAMETER_CHOICE_NOT_SET: return WrongType(key, "int64_param, bool_param, or string_param");
  }
  return Nothing{};
}

template <class Message>
Result<Nothing> RefuseSharedMemory(const Message& tensor) {
  if (tensor.parameters().contains("shared_memory_region"))
    return Error(Code::kUnsupported, "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.");
  return Nothing{};
}

}  // namespace

// The message without its tensor bytes, and those.
struct RequestReader::Parts {
  ModelInferRequest head;
  std::vector<Bytes> raw;

  Result<Bytes> TensorBytes(const ModelInferRequest::InferInputTensor& input, Datatype datatype, std::size_t& next_raw) const;
  Result<Nothing> TakeOutputs(ParsedRequest& out) const;
};

Result<Bytes> RequestReader::Parts::TensorBytes(const ModelInferRequest::InferInputTensor& input, Datatype datatype,
                                                std::size_t& next_raw) const {
  if (input.has_contents()) {
    if (!raw.empty())
      return Invalid(fmt::format("contents field must not be specified when using raw_input_contents for '{}' for model '{}'", input.name(),
                                 head.model_name()));
    return ContentsBytes(input, datatype, head.model_name());
  }
  if (next_raw >= raw.size())
    return Invalid(fmt::format("unable to find data for input tensor '{}' for model '{}' in request.", input.name(), head.model_name()));
  return Aligned(raw[next_raw++], datatype);
}

Result<Nothing> RequestReader::Parts::TakeOutputs(ParsedRequest& out) const {
  for (const auto& output : head.outputs()) {
    TRY_DO(RefuseSharedMemory(output));
    out.request.requested_outputs.push_back(output.name());
    auto classification = output.parameters().find("classification");
    if (classification == output.parameters().end()) continue;
    if (!IsInt(classification->second)) return Invalid("invalid value type for 'classification' parameter, expected int64_param");
    if (classification->second.int64_param() <= 0) return Invalid("invalid value for 'classification' parameter, expected >= 0");
    out.answer.classifications.push_back({output.name(), classification->second.int64_param()});
  }
  return Nothing{};
}

RequestReader::RequestReader() : parts_(std::make_unique<Parts>()) {}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;

Result<Nothing> RequestReader::Open(const Received& message) {
  auto apart = message.apart.begin();
  CodedInputStream in(reinterpret_cast<const std::uint8_t*>(message.bytes.data()), static_cast<int>(message.bytes.size()));
  in.SetTotalBytesLimit(std::numeric_limits<int>::max());
  // Generated code reads every field but the tensor bytes, which it would copy: those are read here, and the rest of the message, in
  // pieces between them, is merged as if it were the whole.
  std::string rest;
  google::protobuf::io::StringOutputStream rest_stream(&rest);
  google::protobuf::io::CodedOutputStream out(&rest_stream);
  while (std::uint32_t tag = in.ReadTag()) {
    if (tag == WireFormatLite::MakeTag(kRawInputContentsField, WireFormatLite::WIRETYPE_LENGTH_DELIMITED)) {
      TRY(Bytes bytes, ReadBytes(in, message, apart));
      parts_->raw.push_back(std::move(bytes));
      continue;
    }
    if (!WireFormatLite::SkipField(&in, tag, &out)) return Invalid("malformed message");
  }
  out.Trim();
  if (!in.ConsumedEntireMessage() || !parts_->head.ParseFromString(rest)) return Invalid("malformed message");
  return Nothing{};
}

const std::string& RequestReader::model_name() const {
  return parts_->head.model_name();
}
const std::string& RequestReader::client_id() const {
  return parts_->head.id();
}

Result<ModelRef> RequestReader::Model() const {
  return ParseModelRef(parts_->head.model_name(), parts_->head.model_version());
}

Result<ParsedRequest> RequestReader::Take() {
  ParsedRequest out;
  TRY(out.request.model, Model());
  out.request.client_id = parts_->head.id();
  out.answer.requested_version = parts_->head.model_version();
  for (const auto& [key, value] : parts_->head.parameters()) TRY_DO(TakeParameter(key, value, out));
  std::size_t next_raw = 0;
  for (const auto& input : parts_->head.inputs()) {
    TRY_DO(RefuseSharedMemory(input));
    Tensor tensor;
    tensor.name = input.name();
    tensor.datatype = ParseDatatype(input.datatype());
    tensor.shape.assign(input.shape().begin(), input.shape().end());
    TRY(tensor.data, parts_->TensorBytes(input, tensor.datatype, next_raw));
    out.request.inputs.push_back(std::move(tensor));
  }
  TRY_DO(parts_->TakeOutputs(out));
  return out;
}

Result<ModelRef> ParseModelRef(const std::string& name, const std::string& version) {
  ModelRef model{name, -1};
  if (version.empty()) return model;
  auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), model.version);
  if (error != std::errc{} || end != version.data() + version.size() || model.version < 0)
    return Invalid(
        fmt::format("failed to get model version from specified version string '{}' (details: {}), version should be an integral value > 0",
                    version, error == std::errc::result_out_of_range ? "out of range" : "stol"));
  return model;
}

}  // namespace nereid::grpc_front

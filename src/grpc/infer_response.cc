#include "grpc/infer_response.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include "proto/grpc_service.pb.h"
#include "protocol/kserve/classify.h"

namespace nereid::grpc_front {
namespace {

using google::protobuf::io::CodedOutputStream;

// Below this an output's bytes are copied behind the head: a slice of its own costs an allocation and an iovec.
constexpr std::size_t kCopyBytesMax = 1024;
constexpr std::uint8_t kRawOutputTag = 6 << 3 | 2;      // ModelInferResponse.raw_output_contents
constexpr std::uint8_t kInferResponseTag = 2 << 3 | 2;  // ModelStreamInferResponse.infer_response

void AppendLength(std::string& out, std::uint8_t tag, std::size_t size) {
  std::uint8_t bytes[11] = {tag};
  std::uint8_t* end = CodedOutputStream::WriteVarint64ToArray(size, bytes + 1);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(end - bytes));
}

std::size_t LengthBytes(std::size_t size) {
  return 1 + CodedOutputStream::VarintSize64(size);
}

void SetParameter(const ParameterValue& value, inference::InferParameter& out) {
  std::visit(
      [&out](const auto& held) {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, bool>) out.set_bool_param(held);
        else if constexpr (std::is_same_v<T, std::int64_t>) out.set_int64_param(held);
        else if constexpr (std::is_same_v<T, std::uint64_t>) out.set_uint64_param(held);
        else if constexpr (std::is_same_v<T, double>) out.set_double_param(held);
        else out.set_string_param(held);
      },
      value);
}

// All but the outputs' bytes.
inference::ModelInferResponse Head(const InferResponse& response) {
  inference::ModelInferResponse head;
  head.set_model_name(response.model_name);
  head.set_model_version(std::to_string(response.model_version));
  head.set_id(response.client_id);
  for (const auto& [key, value] : response.parameters) SetParameter(value, (*head.mutable_parameters())[key]);
  for (const Tensor& tensor : response.outputs) {
    auto* output = head.add_outputs();
    output->set_name(tensor.name);
    output->set_datatype(std::string(DatatypeName(tensor.datatype)));
    output->mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
  }
  return head;
}

std::size_t MessageBytes(const InferResponse& response, std::size_t head_bytes) {
  std::size_t total = head_bytes;
  for (const Tensor& tensor : response.outputs) total += LengthBytes(tensor.data.size()) + tensor.data.size();
  return total;
}

// `text` begins with the prefix and the head; the outputs' bytes follow in pieces of their own.
Message Assemble(std::string text, const InferResponse& response, std::size_t length) {
  WritePrefix(text.data(), false, length);
  Message message;
  for (const Tensor& tensor : response.outputs) {
    AppendLength(text, kRawOutputTag, tensor.data.size());
    if (tensor.data.size() <= kCopyBytesMax) {
      text.append(tensor.data.view());
      continue;
    }
    message.pieces.push_back(net::Piece::Own(std::move(text)));
    message.pieces.push_back({tensor.data.owner(), tensor.data.view()});
    text.clear();
  }
  if (!text.empty()) message.pieces.push_back(net::Piece::Own(std::move(text)));
  return message;
}

Result<Nothing> CheckSize(std::size_t bytes) {
  if (bytes > kMessageBytesMax)
    return Error(Code::kInvalidArgument,
                 fmt::format("Response has byte size {} which exceeds gRPC's byte size limit {}.", bytes, kMessageBytesMax));
  return Nothing{};
}

Message Whole(const google::protobuf::MessageLite& message) {
  std::string text(kPrefixBytes, '\0');
  message.AppendToString(&text);
  return WholeMessage(std::move(text));
}

}  // namespace

Result<Nothing> ClassifyOutputs(const AnswerOptions& options, const ModelInfo& model, InferResponse& response) {
  for (const AnswerOptions::Classification& wanted : options.classifications) {
    for (Tensor& tensor : response.outputs) {
      if (tensor.name != wanted.output) continue;
      TRY(tensor, kserve::Classify(tensor, static_cast<std::uint64_t>(wanted.classes), model.labels, model.max_batch_size > 0));
    }
  }
  return Nothing{};
}

Result<Message> RenderResponse(const InferResponse& response) {
  std::string text(kPrefixBytes, '\0');
  Head(response).AppendToString(&text);
  std::size_t length = MessageBytes(response, text.size() - kPrefixBytes);
  TRY_DO(CheckSize(length));
  return Assemble(std::move(text), response, length);
}

Result<Message> RenderStreamResponse(const InferResponse& response, StreamMark mark) {
  inference::ModelInferResponse message = Head(response);
  (*message.mutable_parameters())["triton_final_response"].set_bool_param(mark.final);
  std::string head = message.SerializeAsString();
  std::size_t inner = MessageBytes(response, head.size());
  TRY_DO(CheckSize(inner + LengthBytes(inner)));
  std::string text(kPrefixBytes, '\0');
  AppendLength(text, kInferResponseTag, inner);
  text += head;
  return Assemble(std::move(text), response, inner + LengthBytes(inner));
}

Message RenderStreamError(const Status& status, const std::string& client_id, const std::string& model, std::optional<StreamMark> mark) {
  inference::ModelStreamInferResponse message;
  message.set_error_message(status.message);
  message.mutable_infer_response()->set_id(client_id);
  message.mutable_infer_response()->set_model_name(model);
  if (mark) (*message.mutable_infer_response()->mutable_parameters())["triton_final_response"].set_bool_param(mark->final);
  return Whole(message);
}

Message RenderStreamEnd(const std::string& client_id, const std::string& model, const std::string& requested_version) {
  inference::ModelStreamInferResponse message;
  inference::ModelInferResponse& response = *message.mutable_infer_response();
  response.set_id(client_id);
  response.set_model_name(model);
  response.set_model_version(requested_version);
  (*response.mutable_parameters())["triton_final_response"].set_bool_param(true);
  return Whole(message);
}

}  // namespace nereid::grpc_front

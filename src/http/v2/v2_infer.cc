// Infer, generate and generate_stream.
#include <array>

#include <fmt/format.h>

#include "base/log.h"
#include "http/v2/v2_api.h"
#include "net/body.h"
#include "net/stream_channel.h"
#include "protocol/errors.h"
#include "protocol/kserve/generate.h"
#include "protocol/kserve/infer_response.h"

namespace nereid::http {
namespace {

constexpr std::size_t kStreamBytesMax = 1 << 20;
constexpr std::string_view kDecoupled = "HTTP end point doesn't support models with decoupled transaction policy";
constexpr std::string_view kOneResponse = "generate expects model to produce exactly 1 response, use generate stream for model that generates various number of responses";

// Hands the one response of a request to the task that waits for it.
class OneReceiver final : public InferReceiver {
 public:
  explicit OneReceiver(net::OneShot<InferResponse>::Completer done) : done_(std::move(done)) {}
  Pushed Push(InferResponse&& response) override {
    done_(std::move(response));
    return Pushed::kTaken;
  }
  void OnRoom(std::function<void()> wake) override { wake(); }

 private:
  const net::OneShot<InferResponse>::Completer done_;
};

std::size_t SizeOf(const InferResponse& response) {
  std::size_t bytes = sizeof response;
  for (const Tensor& tensor : response.outputs) bytes += tensor.data.size() + sizeof tensor;
  return bytes;
}

class StreamReceiver final : public InferReceiver {
 public:
  using Channel = net::StreamChannel<InferResponse>;
  explicit StreamReceiver(net::Executor home) : channel(std::make_shared<Channel>(home, kStreamBytesMax, SizeOf)) {}
  Pushed Push(InferResponse&& response) override {
    bool final = response.final;
    switch (channel->Push(channel, std::move(response), final)) {
      case Channel::Pushed::kTaken: return Pushed::kTaken;
      case Channel::Pushed::kFull: return Pushed::kFull;
      case Channel::Pushed::kGone: break;
    }
    return Pushed::kGone;
  }
  void OnRoom(std::function<void()> wake) override { channel->OnRoom(std::move(wake)); }

  const std::shared_ptr<Channel> channel;
};

void Fill(InferRequest& request, net::Exchange& exchange, ModelRef model) {
  request.model = std::move(model);
  request.request_id = NewRequestId(SystemClock().Wall());
  request.arrival = exchange.arrival();
  request.cancellation = exchange.cancellation();
}

net::Task<Nothing> RespondInfer(net::Exchange& exchange, kserve::RenderedInfer rendered) {
  net::ResponseHead head{200, rendered.has_binary ? "application/octet-stream" : "application/json", {}};
  if (rendered.has_binary) head.headers.emplace_back("Inference-Header-Content-Length", std::to_string(rendered.json.size()));
  std::vector<std::string_view> pieces{rendered.json};
  for (const Bytes& bytes : rendered.binary) pieces.push_back(bytes.view());
  net::Encoding encoding = net::ChooseEncoding(exchange.Header("accept-encoding").value_or(""));
  if (encoding == net::Encoding::kIdentity) co_return co_await exchange.Respond(std::move(head), std::span<const std::string_view>(pieces));
  std::string packed = net::Deflate(encoding, pieces);
  head.headers.emplace_back("Content-Encoding", net::EncodingName(encoding));
  co_return co_await exchange.Respond(std::move(head), packed);
}

}  // namespace

net::Task<Nothing> V2Api::Infer(Call& call) {
  CO_TRY(ModelRef model, ModelOf(call));
  auto result = co_await InferInto(call, model);
  if (result || call.exchange.started()) co_return result;
  LOG_VERBOSE(1, "infer {}: {}", model.name, result.error().message);
  // What Triton finds before its request object exists comes as text/plain.
  bool early = result.error().reason == "unknown_model" || result.error().reason == "bad_version" || result.error().reason == "content_encoding";
  co_return co_await RespondKServeError(call.exchange, result.error(), early ? "text/plain" : "application/json");
}

net::Task<Nothing> V2Api::InferInto(Call& call, ModelRef model) {
  net::Exchange& exchange = call.exchange;
  CO_TRY(auto info, models_.Find(model));
  if (info->decoupled) co_return Error(Code::kUnsupported, std::string(kDecoupled), "decoupled");
  auto header_length = exchange.Header("inference-header-content-length");
  auto body = co_await exchange.ReadBody(header_length ? options_.binary_body_bytes_max : options_.json_body_bytes_max);
  if (!body) {
    if (body.error().reason == "content_encoding") co_return Error(Code::kUnsupported, "Unsupported compression type", "content_encoding");
    if (body.error().reason == "body_too_large" && exchange.Header("content-encoding"))
      co_return Error(Code::kInvalidArgument, fmt::format("Decompressed data size exceeds the maximum allowed value of {} bytes. Use --http-max-input-size to increase the limit.", options_.json_body_bytes_max), "body_too_large");
    if (body.error().reason == "body_too_large")
      co_return Error(Code::kInvalidArgument, fmt::format("request JSON size of {} bytes exceeds the maximum allowed input size of {} bytes. Use --http-max-input-size to increase the limit.", exchange.content_length().value_or(0), options_.json_body_bytes_max), "body_too_large");
    co_return std::unexpected(std::move(body).error());
  }
  CO_TRY(kserve::ParsedInfer parsed, kserve::ParseInferRequest(model.name, Bytes(body->owner, body->data, body->size), header_length, {options_.json_body_bytes_max}));
  Fill(parsed.request, exchange, model);
  const std::string prefix_id = parsed.request.client_id;
  LOG_VERBOSE(1, "POST {} from {}: {} inputs, {} bytes", exchange.path(), exchange.peer_address(), parsed.request.inputs.size(), body->size);

  net::OneShot<InferResponse> answer(exchange.executor());
  models_.Submit(std::move(parsed.request), std::make_shared<OneReceiver>(answer.completer()));
  CO_TRY(InferResponse response, co_await answer.Wait());
  if (response.error) co_return std::unexpected(*std::move(response.error));
  CO_TRY(auto rendered, kserve::RenderInferResponse(response, parsed.outputs, parsed.binary_default, info->labels, info->max_batch_size));
  co_return co_await RespondInfer(exchange, std::move(rendered));
}

net::Task<Nothing> V2Api::Generate(Call& call) {
  CO_TRY(ModelRef model, ModelOf(call));
  CO_TRY(auto info, models_.Find(model));
  if (auto encoding = call.exchange.Header("content-encoding"); encoding && !encoding->empty() && *encoding != "identity")
    co_return Error(Code::kInvalidArgument, "Unsupported content-encoding, only 'identity' is supported.", "generate_encoding");
  CO_TRY(net::Body body, co_await call.exchange.ReadBody(options_.json_body_bytes_max));
  CO_TRY(InferRequest request, kserve::ParseGenerateRequest(*info, body.view(), options_.json_body_bytes_max));
  Fill(request, call.exchange, std::move(model));
  co_return co_await Stream(call, *info, std::move(request), true);
}

net::Task<Nothing> V2Api::GenerateStream(Call& call) {
  CO_TRY(ModelRef model, ModelOf(call));
  CO_TRY(auto info, models_.Find(model));
  if (auto encoding = call.exchange.Header("content-encoding"); encoding && !encoding->empty() && *encoding != "identity")
    co_return Error(Code::kInvalidArgument, "Unsupported content-encoding, only 'identity' is supported.", "generate_encoding");
  CO_TRY(net::Body body, co_await call.exchange.ReadBody(options_.json_body_bytes_max));
  CO_TRY(InferRequest request, kserve::ParseGenerateRequest(*info, body.view(), options_.json_body_bytes_max));
  Fill(request, call.exchange, std::move(model));
  co_return co_await Stream(call, *info, std::move(request), false);
}

// `one`: exactly one response is an answer (generate); else each is an event.
net::Task<Nothing> V2Api::Stream(Call& call, const ModelInfo&, InferRequest request, bool one) {
  net::Exchange& exchange = call.exchange;
  auto receiver = std::make_shared<StreamReceiver>(exchange.executor());
  Cancellation cancellation = request.cancellation;
  models_.Submit(std::move(request), receiver);
  Result<Nothing> written = Nothing{};
  int responses = 0;
  bool over = false;
  std::string held;  // generate: the first response, until it is known to be the only one
  while (!over && written) {
    auto response = co_await receiver->channel->Next();
    if (!response) {
      written = std::unexpected(std::move(response).error());
      break;
    }
    over = response->final;
    if (response->empty || (response->outputs.empty() && !response->error && response->final && responses > 0)) continue;
    if (response->outputs.empty() && !response->error && response->final && !one) continue;
    ++responses;
    Result<std::string> text = response->error ? Result<std::string>(std::unexpected(*response->error)) : kserve::RenderGenerateResponse(*response);
    if (one) {
      if (!text) {
        written = co_await RespondKServeError(exchange, text.error());
        break;
      }
      held = *std::move(text);
      continue;
    }
    if (!exchange.started() && responses == 1) {
      int status = text ? 200 : protocol::WireErrorOf(text.error()).kserve_http;
      exchange.Start(net::ResponseHead{status, "text/event-stream; charset=utf-8", {{"Cache-Control", "no-cache"}}});
    }
    written = co_await exchange.Write(fmt::format("data: {}\n\n", text ? *text : protocol::KServeErrorBody(text.error().message)));
  }
  if (!over) cancellation.Cancel();
  receiver->channel->Close();
  if (!written || exchange.started()) {
    if (written && !one) co_return co_await exchange.Finish();
    co_return written;
  }
  if (one && responses == 1) co_return co_await RespondJson200(exchange, std::move(held));
  if (one) co_return co_await exchange.Respond(net::ResponseHead{200, "application/json", {}}, protocol::KServeErrorBody(kOneResponse));
  exchange.Start(net::ResponseHead{200, "text/event-stream; charset=utf-8", {}});
  co_return co_await exchange.Finish();
}

}  // namespace nereid::http

// Infer, generate and generate_stream.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/log.h"
#include "http/v2/v2_api.h"
#include "net/body.h"
#include "net/io_threads.h"
#include "net/stream_channel.h"
#include "protocol/errors.h"
#include "protocol/kserve/generate.h"
#include "protocol/kserve/infer_response.h"

namespace nereid::http {
namespace {

constexpr std::size_t kStreamBytesMax = 1 << 20;
constexpr std::string_view kDecoupled = "HTTP end point doesn't support models with decoupled transaction policy";
constexpr std::string_view kOneResponse =
    "generate expects model to produce exactly 1 response, use generate stream for model that generates various number of responses";

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

// Tensors lie behind the JSON; many bytes of them are received where the model reads them. `info` outlives the result.
net::BodyTail TailOf(std::optional<std::string_view> header_length, const ModelInfo& info) {
  net::BodyTail tail;
  if (!header_length) return tail;
  const char* end = header_length->end();
  auto [read, error] = std::from_chars(header_length->begin(), end, tail.at);
  if (error == std::errc{} && read == end && info.input_memory)
    tail.allocate = [memory = info.input_memory.get()](std::size_t bytes) { return memory->Allocate(bytes); };
  return tail;
}

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
  request.home = net::IoThreads::CurrentIndex();
  request.cancellation = exchange.cancellation();
}

net::Task<Nothing> RespondInfer(net::Exchange& exchange, kserve::RenderedInfer rendered) {
  net::ResponseHead head{200, rendered.has_binary ? "application/octet-stream" : "application/json", {}};
  if (rendered.has_binary) head.headers.Add("Inference-Header-Content-Length", std::to_string(rendered.json.size()));
  std::vector<std::string_view> pieces{rendered.json};
  for (const Bytes& bytes : rendered.binary) pieces.push_back(bytes.view());
  net::Encoding encoding = net::ChooseEncoding(exchange.Header("accept-encoding").value_or(""));
  if (encoding == net::Encoding::kIdentity) co_return co_await exchange.Respond(std::move(head), std::span<const std::string_view>(pieces));
  std::string packed = net::Deflate(encoding, pieces);
  head.headers.Add("Content-Encoding", net::EncodingName(encoding));
  co_return co_await exchange.Respond(std::move(head), packed);
}

// What is refused before it is queued has its own status and is no event.
bool BeforeTheQueue(const Status& status) {
  static constexpr std::string_view kReasons[] = {"bad_request", "bad_json", "unknown_model", "not_ready", "queue_full", "stopping"};
  return std::ranges::find(kReasons, status.reason) != std::end(kReasons);
}

// A model's failure is 400 on generate, as Triton; infer says 500.
Status AsGenerateError(Status status) {
  if (status.code == Code::kInternal) status.code = Code::kInvalidArgument;
  return status;
}

// Not only the mark that the request is over.
bool IsAnswer(const InferResponse& response) {
  return response.error || !(response.empty || (response.final && response.outputs.empty()));
}

void StartEvents(net::Exchange& exchange, int status) {
  exchange.Start(net::ResponseHead{status, "text/event-stream; charset=utf-8", {{"Cache-Control", "no-cache"}}});
}

// The answers of one request. When it goes, the model is told that nobody listens.
class Answers {
 public:
  Answers(net::Exchange& exchange, InferRequest request, ModelService& models)
      : receiver_(std::make_shared<StreamReceiver>(exchange.executor())), cancellation_(request.cancellation) {
    models.Submit(std::move(request), receiver_);
  }
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;
  ~Answers() {
    if (!over_) cancellation_.Cancel();
    receiver_->channel->Close();
  }

  net::Task<InferResponse> Next() {
    auto response = co_await receiver_->channel->Next();
    over_ = response && response->final;
    co_return response;
  }

 private:
  const std::shared_ptr<StreamReceiver> receiver_;
  Cancellation cancellation_;
  bool over_ = false;
};

using RenderEvent = std::function<Result<std::string>(const InferResponse&)>;

// Each response is an event; the first brings the status. Errors are events too, but for a refusal before the queue.
net::Task<Nothing> RespondEvents(net::Exchange& exchange, Answers& answers, RenderEvent render) {
  bool begun = false;
  for (bool over = false; !over;) {
    CO_TRY(InferResponse response, co_await answers.Next());
    over = response.final;
    if (!IsAnswer(response)) continue;
    Result<std::string> text = response.error ? std::unexpected(*std::move(response.error)) : render(response);
    if (!std::exchange(begun, true)) {
      if (!text && BeforeTheQueue(text.error())) co_return std::unexpected(std::move(text).error());
      StartEvents(exchange, text ? 200 : protocol::WireErrorOf(AsGenerateError(text.error())).kserve_http);
    }
    CO_TRY_DO(co_await exchange.Write(fmt::format("data: {}\n\n", text ? *text : protocol::KServeErrorBody(text.error().message))));
  }
  if (!begun) StartEvents(exchange, 200);
  co_return co_await exchange.Finish();
}

// The client takes server-sent events.
bool AcceptsEvents(const net::Exchange& exchange) {
  return exchange.Header("accept").value_or("").find("text/event-stream") != std::string_view::npos;
}

Result<std::string> RenderInferEvent(const InferResponse& response, const kserve::ParsedInfer& parsed, const ModelInfo& info) {
  TRY(auto rendered, kserve::RenderInferResponse(response, parsed.outputs, false, info.labels, info.max_batch_size));
  if (rendered.binary.empty()) return std::move(rendered.json);
  return Error(Code::kInvalidArgument, "events are text: outputs cannot be sent as binary data in them", "bad_request");
}

}  // namespace

net::Task<Nothing> V2Api::Infer(Call& call) {
  auto result = co_await InferInto(call);
  if (result || call.exchange.started()) co_return result;
  // Triton names a type only for what it finds between the start of parsing and the queue.
  static constexpr std::string_view kTyped[] = {"bad_request", "bad_json",        "shm_disabled",   "queue_full",
                                                "stopping",    "bad_compression", "reserved_header"};
  bool typed = std::ranges::find(kTyped, result.error().reason) != std::end(kTyped);
  co_return co_await RespondKServeError(call.exchange, result.error(), typed ? "application/json" : "text/plain");
}

net::Task<Nothing> V2Api::InferInto(Call& call) {
  net::Exchange& exchange = call.exchange;
  CO_TRY(ModelRef model, ModelOf(call));
  CO_TRY(auto info, models_.Find(model));
  if (info->decoupled && !AcceptsEvents(exchange)) co_return Error(Code::kUnsupported, std::string(kDecoupled), "decoupled");
  auto header_length = exchange.Header("inference-header-content-length");
  auto body = co_await exchange.ReadBody(header_length ? options_.binary_body_bytes_max : options_.json_body_bytes_max,
                                         TailOf(header_length, *info));
  if (!body) {
    if (body.error().reason == "content_encoding") co_return Error(Code::kUnsupported, "Unsupported compression type", "content_encoding");
    if (body.error().reason == "body_too_large" && exchange.Header("content-encoding"))
      co_return Error(
          Code::kInvalidArgument,
          fmt::format(
              "Decompressed data size exceeds the maximum allowed value of {} bytes. Use --http-max-input-size to increase the limit.",
              options_.json_body_bytes_max),
          "body_too_large");
    if (body.error().reason == "body_too_large")
      co_return Error(
          Code::kInvalidArgument,
          fmt::format(
              "request JSON size of {} bytes exceeds the maximum allowed input size of {} bytes. Use --http-max-input-size to increase the limit.",
              exchange.content_length().value_or(0), options_.json_body_bytes_max),
          "body_too_large");
    co_return std::unexpected(std::move(body).error());
  }
  const char* tail = body->tail.get();
  CO_TRY(kserve::ParsedInfer parsed,
         kserve::ParseInferRequest(model.name, Bytes(std::move(body->owner), body->data, body->size), header_length,
                                   {options_.json_body_bytes_max}, Bytes(std::move(body->tail), tail, body->tail_size)));
  CO_TRY_DO(forward_.Apply(exchange.headers(), parsed.request.parameters));
  Fill(parsed.request, exchange, std::move(model));

  if (info->decoupled) {
    Answers answers(exchange, std::move(parsed.request), models_);
    co_return co_await RespondEvents(exchange, answers,
                                     [&](const InferResponse& response) { return RenderInferEvent(response, parsed, *info); });
  }
  net::OneShot<InferResponse> answer(exchange.executor());
  models_.Submit(std::move(parsed.request), std::make_shared<OneReceiver>(answer.completer()));
  CO_TRY(InferResponse response, co_await answer.Wait());
  if (response.error) co_return std::unexpected(*std::move(response.error));
  if (response.empty) co_return Error(Code::kInternal, "expected a single response, got 0", "no_response");
  CO_TRY(auto rendered, kserve::RenderInferResponse(response, parsed.outputs, parsed.binary_default, info->labels, info->max_batch_size));
  co_return co_await RespondInfer(exchange, std::move(rendered));
}

net::Task<InferRequest> V2Api::ReadGenerate(Call& call) {
  net::Exchange& exchange = call.exchange;
  CO_TRY(ModelRef model, ModelOf(call));
  CO_TRY(auto info, models_.Find(model));
  if (auto encoding = exchange.Header("content-encoding"); encoding && !encoding->empty() && *encoding != "identity")
    co_return Error(Code::kInvalidArgument, "Unsupported content-encoding, only 'identity' is supported.", "generate_encoding");
  CO_TRY(net::Body body, co_await exchange.ReadBody(options_.json_body_bytes_max));
  CO_TRY(InferRequest request, kserve::ParseGenerateRequest(*info, body.view(), options_.json_body_bytes_max));
  CO_TRY_DO(forward_.Apply(exchange.headers(), request.parameters));
  Fill(request, exchange, std::move(model));
  co_return request;
}

net::Task<Nothing> V2Api::Generate(Call& call) {
  net::Exchange& exchange = call.exchange;
  CO_TRY(InferRequest request, co_await ReadGenerate(call));
  Answers answers(exchange, std::move(request), models_);
  // One answer is held back until it is known to be the only one.
  std::optional<InferResponse> held;
  int count = 0;
  for (bool over = false; !over;) {
    CO_TRY(InferResponse response, co_await answers.Next());
    over = response.final;
    if (!IsAnswer(response)) continue;
    if (response.error) co_return std::unexpected(AsGenerateError(*std::move(response.error)));
    if (++count > 1) break;  // what follows is not waited for
    held = std::move(response);
  }
  // Triton answers 200 here, since its status is out by then; this status is not.
  if (count != 1) co_return Error(Code::kInvalidArgument, std::string(kOneResponse), "bad_request");
  CO_TRY(std::string text, kserve::RenderGenerateResponse(*held));
  co_return co_await RespondJson200(exchange, std::move(text));
}

net::Task<Nothing> V2Api::GenerateStream(Call& call) {
  CO_TRY(InferRequest request, co_await ReadGenerate(call));
  Answers answers(call.exchange, std::move(request), models_);
  co_return co_await RespondEvents(call.exchange, answers, kserve::RenderGenerateResponse);
}

}  // namespace nereid::http

#include "providers/openai_target.h"

#include <charconv>

#include <fmt/format.h>

#include "base/log.h"
#include "codec/json_text.h"
#include "codec/sse.h"
#include "protocol/openai/locate.h"
#include "protocol/openai/usage_scan.h"

namespace nereid::providers {
namespace {

// What a client may see of a provider's head besides status and type.
bool MayPass(std::string_view name) {
  auto starts = [&](std::string_view prefix) {
    return name.size() >= prefix.size() && net::EqualsIgnoreCase(name.substr(0, prefix.size()), prefix);
  };
  return net::EqualsIgnoreCase(name, "retry-after") || net::EqualsIgnoreCase(name, "retry-after-ms") ||
         net::EqualsIgnoreCase(name, "x-should-retry") || starts("x-ratelimit-") || starts("openai-");
}

std::string_view PathOf(Operation operation) {
  return operation == Operation::kChatCompletions ? "/chat/completions" : "/completions";
}

std::string JsonText(std::string_view text) {
  std::string out;
  json::AppendString(out, text);
  return out;
}

bool IsJson(std::string_view content_type) {
  return content_type.find("json") != std::string_view::npos;
}
bool IsEventStream(std::string_view content_type) {
  return content_type.starts_with("text/event-stream");
}

// About four bytes a token: only for what nobody counted.
TokenUsage EstimateOf(const TargetRequest& request, std::size_t answer_bytes) {
  TokenUsage usage;
  usage.input = static_cast<std::int64_t>(request.request.call.raw.size() / 4);
  usage.output = static_cast<std::int64_t>(answer_bytes / 4);
  return usage;
}

}  // namespace

Result<std::shared_ptr<const Provider>> MakeProvider(const ProviderConfig& config) {
  auto provider = std::make_shared<Provider>();
  provider->name = config.name;
  auto url = net::ParseBaseUrl(config.base_url);
  if (!url) return Error(Code::kInvalidArgument, fmt::format("providers.{}.base_url: {}", config.name, url.error().message), "bad_config");
  net::Origin& origin = provider->origin;
  origin.tls = url->tls;
  origin.host = url->host;
  origin.port = url->port;
  origin.connect_timeout = Millis(config.connect_timeout_ms);
  origin.first_byte_timeout = Millis(config.first_byte_timeout_ms);
  origin.between_bytes_timeout = Millis(config.between_bytes_timeout_ms);
  if (origin.tls) {
    auto trust = net::ClientTls(config.ca_file);
    if (!trust)
      return Error(Code::kInvalidArgument, fmt::format("providers.{}.ca_file: {}", config.name, trust.error().message), "bad_config");
    origin.trust = *std::move(trust);
  }
  provider->path = url->path;
  provider->keys = config.keys;
  provider->stream_timeout = Millis(config.stream_timeout_ms);
  provider->response_bytes_max = config.response_bytes_max;
  return std::shared_ptr<const Provider>(std::move(provider));
}

OpenAiTarget::OpenAiTarget(std::shared_ptr<const Provider> provider, std::string model, Price cost, net::HttpClient& client)
    : provider_(std::move(provider)), model_json_(JsonText(model)), name_(provider_->name + "/" + model), cost_(cost), client_(client) {}

Outcome OpenAiTarget::Failed(Status failure, const TargetRequest& request, bool sent) const {
  failure.message = fmt::format("the provider '{}' failed: {}", provider_->name, failure.message);
  Outcome outcome;
  // A request that was sent whole may have been billed.
  if (sent && failure.code != Code::kCancelled) {
    outcome.usage = EstimateOf(request, 0);
    outcome.usage_source = UsageSource::kEstimate;
  }
  outcome.failure = std::move(failure);
  return outcome;
}

net::Task<Outcome> OpenAiTarget::Run(const TargetRequest& target, ResponseSink& sink) {
  const Request& request = target.request;
  std::string_view body = request.call.raw.view();
  openai::Spliced spliced = openai::SpliceRequest(body, request.call.fields, model_json_);
  const net::Origin& origin = provider_->origin;
  std::string head;
  head.reserve(512);
  head += "POST ";
  head += provider_->path;
  head += PathOf(request.call.operation);
  head += " HTTP/1.1\r\nHost: ";
  head += origin.host;
  if (origin.port != (origin.tls ? 443 : 80)) {
    head += ':';
    json::AppendInt(head, origin.port);
  }
  head += "\r\nContent-Type: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: nereid/" NEREID_VERSION "\r\n";
  if (!provider_->keys.empty()) {
    auto key = ReadSecret(provider_->keys.front());
    if (!key) co_return Failed(Status{Code::kInternal, key.error().message, "no_provider_key", ""}, target, false);
    head += "Authorization: Bearer ";
    head += *key;
    head += "\r\n";
  }
  head += "Content-Length: ";
  json::AppendUint(head, spliced.bytes);
  head += "\r\n\r\n";
  std::string_view pieces[6] = {head};
  std::copy(spliced.pieces, spliced.pieces + spliced.count, pieces + 1);

  bool sent = false;
  Deadline deadline =
      request.call.fields.stream ? Deadline::After(request.arrival, provider_->stream_timeout).Earlier(request.deadline) : request.deadline;
  auto answer = co_await client_.Send(origin, std::span(pieces, spliced.count + 1), deadline, &sent);
  if (!answer) co_return Failed(std::move(answer).error(), target, sent);

  const net::UpstreamHead& answered = answer->head();
  std::string_view type = net::FindHeader(answered.headers, "content-type").value_or("");
  if (answered.status == 401 || answered.status == 403)
    co_return Failed(
        Status{Code::kBadGateway, fmt::format("it refused our key with status {}", answered.status), "provider_key_refused", ""}, target,
        false);
  if (!IsJson(type) && !(answered.status == 200 && IsEventStream(type)))
    co_return Failed(Status{Code::kBadGateway, fmt::format("it answered status {} with '{}' instead of JSON", answered.status, type),
                            "bad_response", ""},
                     target, answered.status < 400);

  Started started{std::string(target.public_model), answered.status, true, std::string(type), {}};
  for (const net::HeaderField& field : answered.headers) {
    if (MayPass(field.name)) started.headers.emplace_back(field.name, field.value);
  }
  if (IsEventStream(type)) co_return co_await RelayStream(*answer, std::move(started), target, sink);
  co_return co_await RelayWhole(*answer, std::move(started), target, sink);
}

net::Task<Outcome> OpenAiTarget::RelayWhole(net::UpstreamAnswer& answer, Started started, const TargetRequest& target, ResponseSink& sink) {
  std::string storage;
  Result<std::string_view> body = answer.Received();
  if (body->empty()) body = co_await answer.ReadAll(storage, provider_->response_bytes_max);
  if (!body) co_return Failed(std::move(body).error(), target, true);
  auto scanned = openai::Scan(*body);
  if (!scanned) co_return Failed(Status{Code::kBadGateway, "its answer is not a JSON object", "bad_response", ""}, target, true);
  bool failed = started.status < 200 || started.status >= 300;
  Outcome outcome;
  outcome.provider_status = started.status;
  if (scanned->usage) {
    outcome.usage = *scanned->usage;
    outcome.usage_source = UsageSource::kProvider;
  } else if (!failed) {
    outcome.usage = EstimateOf(target, body->size());
    outcome.usage_source = UsageSource::kEstimate;
  }
  std::string name;
  std::string_view pieces[3] = {*body};
  std::size_t count = 1;
  if (scanned->model_end > 0) {
    json::AppendString(name, target.public_model);
    pieces[0] = body->substr(0, scanned->model_begin);
    pieces[1] = name;
    pieces[2] = body->substr(scanned->model_end);
    count = 3;
  }
  int status = started.status;
  RelayedAnswer whole{std::move(started), outcome.usage, outcome.usage_source, std::span<const std::string_view>(pieces, count)};
  auto written = co_await sink.Write(std::move(whole));
  if (!written) outcome.failure = std::move(written).error();
  else if (failed)
    outcome.failure =
        Status{Code::kBadGateway, fmt::format("the provider '{}' answered status {}", provider_->name, status), "provider_error", ""};
  co_return outcome;
}

net::Task<Outcome> OpenAiTarget::RelayStream(net::UpstreamAnswer& answer, Started started, const TargetRequest& target,
                                             ResponseSink& sink) {
  const bool show_usage = target.request.call.fields.include_usage;
  std::string name;
  json::AppendString(name, target.public_model);
  Outcome outcome;
  outcome.provider_status = started.status;
  std::optional<Started> head = std::move(started);  // until it was written
  outcome.usage_source = UsageSource::kEstimate;
  codec::SseSplitter events;
  std::size_t answer_bytes = 0;
  std::string out;
  bool done = false;
  auto finish = [&] {
    if (outcome.usage_source == UsageSource::kEstimate) outcome.usage = EstimateOf(target, answer_bytes / 8);  // most of a chunk is framing
  };
  for (bool ended = false; !ended;) {
    auto piece = co_await answer.Next();
    if (!piece) {
      finish();
      Status failure = std::move(piece).error();
      failure.message = fmt::format("the provider '{}' failed: {}", provider_->name, failure.message);
      outcome.failure = std::move(failure);
      co_return outcome;
    }
    out.clear();
    if (piece->empty()) {
      ended = true;
      out += events.rest();
    } else {
      answer_bytes += piece->size();
      if (auto pushed = events.Push(*piece); !pushed) {
        finish();
        outcome.failure = std::move(pushed).error();
        co_return outcome;
      }
    }
    while (auto event = events.Next()) {
      std::string_view data = codec::SseData(*event);
      auto scanned = data.starts_with('{') ? openai::Scan(data) : std::nullopt;
      if (!scanned) {
        done = done || data == "[DONE]";
        out += *event;
        continue;
      }
      if (scanned->usage) {
        outcome.usage = *scanned->usage;
        outcome.usage_source = UsageSource::kProvider;
        if (scanned->empty_choices && !show_usage) continue;  // we asked for it, the client did not
      }
      if (scanned->model_end == 0) {
        out += *event;
        continue;
      }
      std::size_t at = static_cast<std::size_t>(data.data() - event->data());
      out += event->substr(0, at + scanned->model_begin);
      out += name;
      out += event->substr(at + scanned->model_end);
    }
    Result<Nothing> written = Nothing{};
    if (head) written = co_await sink.Write(*std::exchange(head, std::nullopt));
    if (written && (done || ended)) {
      finish();
      written = co_await sink.Write(Finished{outcome.usage, outcome.usage_source});
      done = false;
    }
    if (written && !out.empty()) {
      std::string_view pieces[] = {out};
      written = co_await sink.Write(RelayedBytes{pieces});
    }
    if (!written) {
      finish();
      outcome.failure = std::move(written).error();
      co_return outcome;
    }
  }
  co_return outcome;
}

}  // namespace nereid::providers

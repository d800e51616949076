#include "http/v1/wire_sink.h"

#include "http/openai_respond.h"
#include "protocol/errors.h"

namespace nereid::http {

net::ResponseHead WireSink::Head(const Started& started) const {
  net::ResponseHead head{started.status, started.content_type, {}};
  for (const auto& [name, value] : started.headers) head.headers.Add(name, value);
  if (head.content_type.empty()) head.content_type = request_.call.fields.stream ? "text/event-stream; charset=utf-8" : "application/json";
  if (head.content_type.starts_with("text/event-stream")) {
    head.headers.Add("Cache-Control", "no-cache");
    head.headers.Add("X-Accel-Buffering", "no");
  }
  std::array<char, 36> id = request_.request_id.Digits();
  AddOpenAiHeaders(exchange_, head, {id.data(), id.size()});
  return head;
}

void WireSink::Begin() {
  if (!std::exchange(begun_, true)) exchange_.Start(Head(started_));
}

net::Task<Nothing> WireSink::Write(const ResponseEvent& event) {
  if (const auto* whole = std::get_if<RelayedAnswer>(&event)) {
    whole_ = begun_ = true;
    return exchange_.Respond(Head(whole->started), whole->pieces);
  }
  return WritePart(event);
}

net::Task<Nothing> WireSink::WritePart(const ResponseEvent& event) {
  if (const auto* started = std::get_if<Started>(&event)) {
    started_ = *started;
    if (!started_.relayed) {
      auto created = std::chrono::duration_cast<std::chrono::seconds>(request_.arrival_wall.time_since_epoch()).count();
      std::string id = (request_.call.operation == Operation::kChatCompletions ? "chatcmpl-" : "cmpl-") + request_.request_id.ToString();
      renderer_ = std::make_unique<openai::Renderer>(request_.call.operation, std::move(id), created, started_.model,
                                                     request_.call.fields.stream, request_.call.fields.include_usage);
    }
    co_return Nothing{};
  }
  if (const auto* relayed = std::get_if<RelayedBytes>(&event)) {
    Begin();
    for (std::string_view piece : relayed->pieces) CO_TRY_DO(co_await exchange_.Write(piece));
    co_return Nothing{};
  }
  if (!renderer_) co_return Nothing{};  // Finished of a relayed answer: its last bytes follow
  std::string text;
  bool last = false;
  if (const auto* delta = std::get_if<TextDelta>(&event)) {
    text = renderer_->Delta(delta->choice, delta->text, delta->finish);
  } else {
    text = renderer_->Finish(std::get<Finished>(event).usage);
    last = true;
  }
  if (text.empty()) co_return Nothing{};
  if (!request_.call.fields.stream && last) {
    whole_ = begun_ = true;
    co_return co_await exchange_.Respond(Head(started_), text);
  }
  Begin();
  co_return co_await exchange_.Write(text);
}

net::Task<Nothing> WireSink::Close() {
  if (whole_) co_return Nothing{};
  Begin();
  co_return co_await exchange_.Finish();
}

net::Task<Nothing> WireSink::Break(const Status& failure) {
  const protocol::WireError& row = protocol::WireErrorOf(failure);
  OpenAiError error{row.openai_http, failure.message, std::string(row.openai_type), "", std::string(protocol::OpenAiCode(failure))};
  std::string event = "data: " + RenderOpenAiError(error) + "\n\n";
  CO_TRY_DO(co_await exchange_.Write(event));
  co_return co_await exchange_.Finish();
}

}  // namespace nereid::http

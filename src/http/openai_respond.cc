#include "http/openai_respond.h"

#include <fmt/format.h>

#include "base/ids.h"
#include "codec/json_text.h"
#include "protocol/errors.h"

namespace nereid::http {

std::string ResponseTimeMs(const net::Exchange& exchange, SteadyTime now) {
  auto micros = std::chrono::duration_cast<Micros>(now - exchange.arrival()).count();
  if (micros < 0) micros = 0;
  return fmt::format("{}.{:03}", micros / 1000, micros % 1000);
}

void AddOpenAiHeaders(const net::Exchange& exchange, net::ResponseHead& head, std::string_view request_id) {
  head.headers.Add("X-Response-Time", ResponseTimeMs(exchange, SystemClock().Steady()));
  if (!request_id.empty()) return head.headers.Add("x-request-id", request_id);
  std::array<char, 36> made = NewRequestId(SystemClock().Wall()).Digits();
  head.headers.Add("x-request-id", {made.data(), made.size()});
}

net::Task<Nothing> RespondJson(net::Exchange& exchange, int status, std::string body, std::string request_id) {
  net::ResponseHead head;
  head.status = status;
  head.content_type = "application/json";
  AddOpenAiHeaders(exchange, head, request_id);
  co_return co_await exchange.Respond(std::move(head), std::string_view(body));
}

std::string JsonString(std::string_view text) {
  std::string out;
  json::AppendString(out, text);
  return out;
}

std::string RenderOpenAiError(const OpenAiError& error) {
  auto or_null = [](const std::string& text) { return text.empty() ? std::string("null") : JsonString(text); };
  return fmt::format(R"({{"error":{{"message":{},"type":{},"param":{},"code":{}}}}})", JsonString(error.message), JsonString(error.type),
                     or_null(error.param), or_null(error.code));
}

net::Task<Nothing> RespondOpenAiError(net::Exchange& exchange, OpenAiError error, std::string request_id) {
  return RespondJson(exchange, error.status, RenderOpenAiError(error), std::move(request_id));
}

net::Task<Nothing> RespondOpenAiStatus(net::Exchange& exchange, const Status& status, std::string param, std::string request_id) {
  const protocol::WireError& wire = protocol::WireErrorOf(status);
  OpenAiError error{wire.openai_http, status.message, std::string(wire.openai_type), std::move(param),
                    std::string(protocol::OpenAiCode(status))};
  return RespondOpenAiError(exchange, std::move(error), std::move(request_id));
}

}  // namespace nereid::http

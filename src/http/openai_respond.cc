#include "http/openai_respond.h"

#include <fmt/format.h>

#include "base/ids.h"

namespace nereid::http {
namespace {

// Length of the valid UTF-8 sequence at the start of `text`; 0 when there is none.
std::size_t Utf8Length(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  if (first < 0x80) return 1;
  std::size_t length = first >= 0xf0 && first <= 0xf4 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (first > 0xf4 || length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  bool out_of_range = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong || out_of_range ? 0 : length;
}

}  // namespace

std::string ResponseTimeMs(const net::Exchange& exchange, SteadyTime now) {
  auto micros = std::chrono::duration_cast<Micros>(now - exchange.arrival()).count();
  if (micros < 0) micros = 0;
  return fmt::format("{}.{:03}", micros / 1000, micros % 1000);
}

void AddOpenAiHeaders(const net::Exchange& exchange, net::ResponseHead& head, std::string_view request_id) {
  head.headers.emplace_back("X-Response-Time", ResponseTimeMs(exchange, SystemClock().Steady()));
  head.headers.emplace_back("x-request-id", request_id.empty() ? NewRequestId(SystemClock().Wall()).ToString() : std::string(request_id));
}

net::Task<Nothing> RespondJson(net::Exchange& exchange, int status, std::string body, std::string request_id) {
  net::ResponseHead head;
  head.status = status;
  head.content_type = "application/json";
  AddOpenAiHeaders(exchange, head, request_id);
  co_return co_await exchange.Respond(std::move(head), std::string_view(body));
}

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    auto c = static_cast<unsigned char>(text[0]);
    std::size_t length = Utf8Length(text);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[0];
    } else if (c < 0x20) {
      out += fmt::format("\\u{:04x}", c);
    } else if (length == 0) {
      out += "\\ufffd";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out += '"';
}

std::string RenderOpenAiError(const OpenAiError& error) {
  auto or_null = [](const std::string& text) { return text.empty() ? std::string("null") : JsonString(text); };
  return fmt::format(R"({{"error":{{"message":{},"type":{},"param":{},"code":{}}}}})", JsonString(error.message), JsonString(error.type),
                     or_null(error.param), or_null(error.code));
}

net::Task<Nothing> RespondOpenAiError(net::Exchange& exchange, OpenAiError error, std::string request_id) {
  return RespondJson(exchange, error.status, RenderOpenAiError(error), std::move(request_id));
}

}  // namespace nereid::http

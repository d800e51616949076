// Answers in the shape of the OpenAI API: JSON bodies, its error object, and the headers that every such answer carries.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "net/exchange.h"

namespace nereid::http {

// "12.345": milliseconds from the request's head to `now`, as X-Response-Time shows them.
std::string ResponseTimeMs(const net::Exchange& exchange, SteadyTime now);

// `request_id` is the ledger's id as UUID text; empty: a new one, for answers without a ledger row. X-Response-Time and x-request-id are
// added to `head`. Use it before Respond or Start, at the moment that the first byte is about to leave.
void AddOpenAiHeaders(const net::Exchange& exchange, net::ResponseHead& head, std::string_view request_id = {});

// The whole answer. `body` is JSON text.
net::Task<Nothing> RespondJson(net::Exchange& exchange, int status, std::string body, std::string request_id = {});

struct OpenAiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param, code;  // empty: null
};
// {"error":{"message","type","param","code"}}
std::string RenderOpenAiError(const OpenAiError& error);
net::Task<Nothing> RespondOpenAiError(net::Exchange& exchange, OpenAiError error, std::string request_id = {});

// `status` by the table of protocol/errors.h.
net::Task<Nothing> RespondOpenAiStatus(net::Exchange& exchange, const Status& status, std::string param = {}, std::string request_id = {});

// JSON text of a string, with its quotes; bytes that are not UTF-8 become U+FFFD.
std::string JsonString(std::string_view text);

}  // namespace nereid::http

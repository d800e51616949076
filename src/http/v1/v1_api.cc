#include "http/v1/v1_api.h"

#include <fmt/format.h>

#include "base/log.h"
#include "http/openai_respond.h"
#include "http/v1/wire_sink.h"
#include "protocol/errors.h"
#include "protocol/openai/locate.h"
#include "protocol/openai/render.h"
#include "protocol/openai/text_request.h"

namespace nereid::http {
namespace {

// What a client that uses another API's or an old path should have said.
std::string RightPath(std::string_view path) {
  while (path.starts_with("/v1/v1/")) path.remove_prefix(3);
  if (path.starts_with("/v1/engines/") || path.starts_with("/engines/"))
    return path.ends_with("/embeddings")         ? "/v1/embeddings"
           : path.ends_with("/chat/completions") ? "/v1/chat/completions"
                                                 : "/v1/completions";
  if (path.starts_with("/v1/chat/completions") || path.starts_with("/chat/completions") || path.starts_with("/v1/chat/completion"))
    return "/v1/chat/completions";
  if (path.starts_with("/completions") || path.starts_with("/v1/completions")) return "/v1/completions";
  if (path.starts_with("/models") || path.starts_with("/v1/models")) return "/v1/models";
  return {};
}

// "org%2Fname" is how clients write a model id with a slash.
Result<std::string> Unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    auto digit = [&](std::size_t at) -> int {
      if (at >= text.size()) return -1;
      char c = text[at];
      return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    };
    if (digit(i + 1) < 0 || digit(i + 2) < 0)
      return Error(Code::kInvalidArgument, "the path has a percent sign that is no escape", "bad_path");
    out += static_cast<char>(digit(i + 1) * 16 + digit(i + 2));
    i += 2;
  }
  return out;
}

// A path that is not ours is answered with the one that was meant.
net::Task<Nothing> RespondError(net::Exchange& exchange, Status status, std::string request_id = {}) {
  if (status.reason == "no_route") {
    std::string right = RightPath(exchange.path());
    status.message = fmt::format(
        "Unknown request URL: {} {}. {}", exchange.method_text(), exchange.path(),
        right.empty() ? "The API is below /v1: see /v1/models and /v1/chat/completions." : fmt::format("The path is {}.", right));
  } else if (status.reason == "wrong_method") {
    status.message = fmt::format("Not allowed to {} on {}.", exchange.method_text(), exchange.path());
  }
  bool names_field = status.reason == "invalid_value" || status.reason == "unsupported_parameter" || status.reason == "model_not_found";
  co_return co_await RespondOpenAiStatus(exchange, status, names_field ? status.detail : std::string(), std::move(request_id));
}

}  // namespace

void V1Api::Register(Routes& routes) {
  auto render = [](net::Exchange& exchange, const Status& status) -> net::Task<Nothing> { return RespondError(exchange, status); };
  for (std::string_view prefix : {"/v1", "/chat", "/completions", "/models", "/engines", "/embeddings"})
    routes.RenderErrorsBelow(std::string(prefix), render);
  routes.Add(net::Method::kPost, "/v1/chat/completions", [this](Call& call) { return Complete(call, Operation::kChatCompletions); });
  routes.Add(net::Method::kPost, "/v1/completions", [this](Call& call) { return Complete(call, Operation::kCompletions); });
  routes.Add(net::Method::kGet, "/v1/models", [this](Call& call) { return Models(call); });
  routes.Add(net::Method::kGet, "/v1/models/{model*}", [this](Call& call) { return Model(call); });
}

net::Task<Nothing> V1Api::Complete(Call& call, Operation operation) {
  net::Exchange& exchange = call.exchange;
  Request request;
  CO_TRY(request.principal, accounts_.Authenticate(exchange.Header("authorization")));
  if (!request.principal.Has(Scope::kChat))
    co_return Error(Code::kPermissionDenied, "this key does not have the scope 'chat'", "insufficient_scope");
  CO_TRY(net::Body body, co_await exchange.ReadBody(options_.body_bytes_max));
  request.call.dialect = Dialect::kOpenAi;
  request.call.operation = operation;
  request.call.raw = Bytes(body.owner, body.data, body.size);
  CO_TRY(request.call.fields, openai::Locate(body.view()));
  request.call.parse = operation == Operation::kChatCompletions ? &openai::ParseChatRequest : &openai::ParseCompletionRequest;
  request.arrival = exchange.arrival();
  request.arrival_wall = SystemClock().Wall();
  request.request_id = NewRequestId(request.arrival_wall);
  request.task = std::string(exchange.Header("x-task-type").value_or(""));
  request.client_address = exchange.peer_address();
  request.cancellation = exchange.cancellation();

  WireSink sink(exchange, request);
  auto done = co_await engine_.Handle(request, sink);
  if (done) co_return co_await sink.Close();
  LOG_VERBOSE(1, "request {} failed: {}", request.request_id.ToString(), done.error().message);
  if (exchange.cancellation().cancelled()) co_return done;
  if (!exchange.started()) co_return co_await RespondError(exchange, done.error(), request.request_id.ToString());
  if (exchange.finished()) co_return Nothing{};  // the provider's own error went out whole
  co_return co_await sink.Break(done.error());
}

Result<std::optional<Principal>> V1Api::ForCatalogue(net::Exchange& exchange) const {
  auto authorization = exchange.Header("authorization");
  if (!authorization && options_.public_catalogue) return std::optional<Principal>();
  TRY(Principal principal, accounts_.Authenticate(authorization));
  if (!principal.Has(Scope::kModels) && !principal.Has(Scope::kChat))
    return Error(Code::kPermissionDenied, "this key does not have the scope 'models'", "insufficient_scope");
  return std::optional<Principal>(std::move(principal));
}

net::Task<Nothing> V1Api::Models(Call& call) {
  CO_TRY(auto principal, ForCatalogue(call.exchange));
  auto entries = engine_.Catalogue(principal ? &*principal : nullptr);
  std::vector<openai::CatalogueRow> rows;
  for (const CatalogueEntry& entry : entries) rows.push_back({entry.name, entry.owned_by, entry.created});
  co_return co_await RespondJson(call.exchange, 200, openai::RenderModels(rows));
}

net::Task<Nothing> V1Api::Model(Call& call) {
  CO_TRY(auto principal, ForCatalogue(call.exchange));
  CO_TRY(std::string name, Unescape(call.Param("model")));
  auto entries = engine_.Catalogue(principal ? &*principal : nullptr);
  for (const CatalogueEntry& entry : entries) {
    if (entry.name == name)
      co_return co_await RespondJson(call.exchange, 200, openai::RenderModel({entry.name, entry.owned_by, entry.created}));
  }
  co_return Error(Code::kNotFound, fmt::format("The model '{}' does not exist or you do not have access to it.", name), "model_not_found",
                  "model");
}

}  // namespace nereid::http

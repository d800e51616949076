#include "http/admin/admin_api.h"

#include "base/log.h"
#include "http/admin/key_documents.h"
#include "http/admin/usage_documents.h"
#include "http/openai_respond.h"

namespace nereid::http {
namespace {

constexpr std::uint64_t kBodyBytesMax = 64 << 10;

// `param` of an error, from its reason: "invalid_scopes" is about "scopes".
std::string ParamOf(const Status& status) {
  constexpr std::string_view kPrefix = "invalid_";
  static constexpr std::string_view kParams[] = {"name", "scopes", "expires_at", "hours", "key", "model", "target", "task", "day"};
  if (!status.reason.starts_with(kPrefix)) return "";
  std::string_view rest = std::string_view(status.reason).substr(kPrefix.size());
  return std::find(std::begin(kParams), std::end(kParams), rest) != std::end(kParams) ? std::string(rest) : "";
}

}  // namespace

void AdminApi::Register(Routes& routes) {
  Add(routes, net::Method::kPost, "/v1/admin/keys", &AdminApi::CreateKey);
  Add(routes, net::Method::kGet, "/v1/admin/keys", &AdminApi::ListKeys);
  Add(routes, net::Method::kGet, "/v1/admin/keys/{id}", &AdminApi::GetKey);
  Add(routes, net::Method::kDelete, "/v1/admin/keys/{id}", &AdminApi::DeleteKey);
  Add(routes, net::Method::kGet, "/v1/admin/usage", &AdminApi::Usage);
}

void AdminApi::Add(Routes& routes, net::Method method, std::string_view pattern, Method handle) {
  routes.Add(method, pattern, [this, handle](Call& call) { return Guarded(call, handle); });
}

net::Task<Nothing> AdminApi::Guarded(Call& call, Method handle) {
  Result<Nothing> done = Nothing{};
  Result<Principal> principal = authenticate_(call.exchange);
  if (!principal) {
    done = std::unexpected(principal.error());
  } else if (!principal->Has(Scope::kAdmin)) {
    done = Error(Code::kPermissionDenied, "This API key lacks the scope 'admin'", "insufficient_scope");
  } else {
    done = co_await (this->*handle)(call, *principal);
  }
  if (done || call.exchange.started()) co_return done;
  if (!done.error().detail.empty()) LOG_ERROR("admin: {}: {}", done.error().message, done.error().detail);
  co_return co_await RespondOpenAiStatus(call.exchange, done.error(), ParamOf(done.error()));
}

net::Task<Nothing> AdminApi::CreateKey(Call& call, const Principal& principal) {
  CO_TRY(net::Body body, co_await call.exchange.ReadBody(kBodyBytesMax));
  CO_TRY(KeySpec spec, ParseKeySpec(body.view()));
  CO_TRY(CreatedKey created, co_await keys_.Create(principal, std::move(spec)));
  co_return co_await RespondJson(call.exchange, 201, RenderCreatedKey(created, clock_.Wall()));
}

net::Task<Nothing> AdminApi::ListKeys(Call& call, const Principal&) {
  CO_TRY(std::vector<KeyRecord> keys, co_await keys_.List());
  co_return co_await RespondJson(call.exchange, 200, RenderKeys(keys, clock_.Wall()));
}

net::Task<Nothing> AdminApi::GetKey(Call& call, const Principal&) {
  CO_TRY(KeyRecord key, co_await keys_.Get(std::string(call.Param("id"))));
  co_return co_await RespondJson(call.exchange, 200, RenderKey(key, clock_.Wall()));
}

net::Task<Nothing> AdminApi::DeleteKey(Call& call, const Principal&) {
  CO_TRY_DO(co_await keys_.Delete(std::string(call.Param("id"))));
  net::ResponseHead head;
  head.status = 204;
  AddOpenAiHeaders(call.exchange, head);
  co_return co_await call.exchange.Respond(std::move(head), std::string_view{});
}

net::Task<Nothing> AdminApi::Usage(Call& call, const Principal&) {
  CO_TRY(UsageFilter filter, ParseUsageQuery(call.exchange.query()));
  CO_TRY(UsageReport report, co_await reports_.Usage(std::move(filter)));
  co_return co_await RespondJson(call.exchange, 200, RenderUsage(report));
}

}  // namespace nereid::http

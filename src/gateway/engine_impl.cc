#include "gateway/engine_impl.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "gateway/router.h"
#include "net/spawn.h"

namespace nereid::gateway {
namespace {

// Settles on Finished, before the answer's last bytes leave; at the latest when the plan has ended.
class SettlingSink final : public ResponseSink {
 public:
  SettlingSink(ResponseSink& sink, Accounts& accounts, const Reservation& held, const Request& request, const PublicModel& model,
               const Clock& clock)
      : sink_(sink), accounts_(accounts), held_(held), request_(request), model_(model), clock_(clock) {}

  net::Task<Nothing> Write(const ResponseEvent& event) override {
    if (const auto* started = std::get_if<Started>(&event)) status_ = started->status;
    if (const auto* finished = std::get_if<Finished>(&event)) return SettleThenWrite(event, finished->usage, finished->usage_source);
    if (const auto* whole = std::get_if<RelayedAnswer>(&event)) {
      status_ = whole->started.status;
      if (!whole->failed()) return SettleThenWrite(event, whole->usage, whole->usage_source);
    }
    return sink_.Write(event);
  }
  bool started() const override { return sink_.started(); }
  bool settled() const { return settled_; }

  void SetTarget(const Target& target) { target_ = &target; }

  net::Task<Nothing> Settle(Outcome outcome) {
    if (std::exchange(settled_, true)) co_return Nothing{};
    Settlement settlement{model_.name,
                          target_ ? target_->name() : std::string_view(),
                          model_.charge,
                          target_ ? target_->cost() : model_.charge,
                          std::move(outcome),
                          status_,
                          clock_.Steady() - request_.arrival};
    co_return co_await accounts_.Settle(held_, settlement);
  }

 private:
  net::Task<Nothing> SettleThenWrite(const ResponseEvent& event, TokenUsage usage, UsageSource source) {
    CO_TRY_DO(co_await Settle(Outcome{usage, source, std::nullopt, status_}));
    co_return co_await sink_.Write(event);
  }

  ResponseSink& sink_;
  Accounts& accounts_;
  const Reservation& held_;
  const Request& request_;
  const PublicModel& model_;
  const Clock& clock_;
  const Target* target_ = nullptr;
  int status_ = 0;
  bool settled_ = false;
};

// Another target may answer what this one never saw.
bool NeverSent(const Status& failure) {
  return failure.reason == "connect_failed" || failure.reason == "dns_failed" || failure.reason == "tls_failed" ||
         failure.reason == "model_not_ready";
}

}  // namespace

net::Task<Nothing> EngineImpl::Handle(Request& request, ResponseSink& sink) {
  CO_TRY(Asked asked, Route(tasks_, request.call.fields.model, request.task));
  request.task = asked.task;
  auto model = MayUse(request.principal, asked.model) ? catalogue_.Find(asked.model) : nullptr;
  if (!model || model->targets.empty()) {
    auto near = catalogue_.Near(asked.model, request.principal);
    co_return Error(Code::kNotFound,
                    near.empty() ? fmt::format("The model '{}' does not exist or you do not have access to it.", asked.model)
                                 : fmt::format("The model '{}' does not exist or you do not have access to it. Near names: {}.",
                                               asked.model, fmt::join(near, ", ")),
                    "model_not_found", "model");
  }
  CO_TRY(Reservation held,
         accounts_.Reserve({request, model->name, model->targets.front()->name(), model->charge, model->targets.front()->cost()}));

  SettlingSink settling(sink, accounts_, held, request, *model, clock_);
  Outcome outcome;
  for (const auto& target : model->targets) {
    settling.SetTarget(*target);
    auto ran = co_await target->Run({request, model->name, model->max_output_tokens}, settling);
    outcome = ran ? *std::move(ran) : Outcome{{}, UsageSource::kNone, std::move(ran).error()};
    if (!outcome.failure || sink.started() || !NeverSent(*outcome.failure)) break;
    LOG_WARNING("{}: target {} failed: {}", model->name, target->name(), outcome.failure->message);
  }
  auto failure = outcome.failure;
  // On failure and on disconnect too: a stream cut after 900 tokens still costs 900 tokens.
  Result<Nothing> settled = Nothing{};
  if (!settling.settled()) settled = co_await net::Shielded(settling.Settle(std::move(outcome)));
  if (!settled)
    LOG_ERROR("settlement of request {} could not be written; the next start settles it as an estimate: {}", request.request_id.ToString(),
              settled.error().message);
  if (failure) co_return std::unexpected(*std::move(failure));
  co_return Nothing{};
}

}  // namespace nereid::gateway

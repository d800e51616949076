#include "models/local_target.h"

#include <algorithm>

#include <fmt/format.h>

#include "net/stream_channel.h"

namespace nereid::models {
namespace {

constexpr std::size_t kWaitingBytesMax = 1 << 20;

std::size_t SizeOf(const TextEvent& event) {
  return event.text.size() + sizeof event;
}

// The generator's side of the channel.
class ChannelReceiver final : public TextReceiver {
 public:
  using Channel = net::StreamChannel<TextEvent>;
  explicit ChannelReceiver(net::Executor home) : channel(std::make_shared<Channel>(home, kWaitingBytesMax, SizeOf)) {}

  Pushed Push(TextEvent&& event) override {
    bool final = event.final;
    switch (channel->Push(channel, std::move(event), final)) {
      case Channel::Pushed::kTaken: return Pushed::kTaken;
      case Channel::Pushed::kFull: return Pushed::kFull;
      case Channel::Pushed::kGone: return Pushed::kGone;
    }
    return Pushed::kGone;
  }
  void OnRoom(std::function<void()> wake) override { channel->OnRoom(std::move(wake)); }

  const std::shared_ptr<Channel> channel;
};

}  // namespace

LocalTarget::LocalTarget(ModelService& service, ModelRef model, Price cost)
    : service_(service), model_(std::move(model)), name_("local/" + model_.name), cost_(cost) {}

net::Task<Outcome> LocalTarget::Run(const TargetRequest& target, ResponseSink& sink) {
  const Request& request = target.request;
  auto model = service_.Find(model_);
  if (!model)
    co_return Outcome{
        {},
        UsageSource::kNone,
        Status{Code::kUnavailable, fmt::format("the model '{}' is not ready", model_.name), "model_not_ready", model.error().message}};
  if (!(*model)->text_generator)
    co_return Outcome{
        {},
        UsageSource::kNone,
        Status{Code::kInvalidArgument, fmt::format("the model '{}' does not generate text", model_.name), "not_a_text_model"}};
  auto parsed = request.call.parse(request.call.raw.view());
  if (!parsed) co_return Outcome{{}, UsageSource::kNone, parsed.error()};
  TextRequest text = *std::move(parsed);
  text.request_id = request.request_id;
  text.deadline = request.deadline;
  text.cancellation = request.cancellation;
  if (target.max_tokens) text.max_tokens = std::min(text.max_tokens.value_or(*target.max_tokens), *target.max_tokens);

  auto receiver = std::make_shared<ChannelReceiver>(co_await boost::asio::this_coro::executor);
  (*model)->text_generator->Generate(std::move(text), receiver);
  Outcome outcome;
  Cancellation cancellation = request.cancellation;
  bool started = false;
  for (;;) {
    auto event = co_await receiver->channel->Next(request.deadline);
    if (!event) {
      // The generator stops at its next step and still tells what was used.
      cancellation.Cancel();
      outcome.failure = event.error();
      auto rest = co_await receiver->channel->Next();
      while (rest && !rest->final) rest = co_await receiver->channel->Next();
      if (rest) outcome.usage = rest->usage, outcome.usage_source = UsageSource::kTokenizer;
      break;
    }
    if (event->final) outcome.usage = event->usage, outcome.usage_source = UsageSource::kTokenizer;
    if (event->error) {
      outcome.failure = *event->error;
      if (event->final) break;
      continue;
    }
    Result<Nothing> written = Nothing{};
    if (!std::exchange(started, true)) written = co_await sink.Write(Started{std::string(target.public_model)});
    if (written && (!event->text.empty() || event->finish))
      written = co_await sink.Write(TextDelta{event->choice, event->text, event->finish});
    if (written && event->final) written = co_await sink.Write(Finished{event->usage});
    if (!written) {
      outcome.failure = written.error();
      cancellation.Cancel();
      while (!event->final) {
        event = co_await receiver->channel->Next();
        if (!event) break;
        if (event->final) outcome.usage = event->usage, outcome.usage_source = UsageSource::kTokenizer;
      }
      break;
    }
    if (event->final) break;
  }
  receiver->channel->Close();
  co_return outcome;
}

}  // namespace nereid::models

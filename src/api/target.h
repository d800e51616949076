// Anything that can answer a Request: a local model or a provider's model. Routing, canary, cost and metrics do not know the difference.
#pragma once

#include <optional>
#include <string>

#include "api/request.h"
#include "api/response.h"
#include "base/money.h"
#include "net/task.h"

namespace nereid {

// Nano-dollars per million tokens, by class. A class without its own price takes its parent's. `unpriced` is not zero.
struct Price {
  bool unpriced = true;
  NanoUsdPerMillion input = 0, cache_read = 0, cache_write = 0, output = 0, reasoning = 0;
  std::uint32_t version = 0;
};

struct Outcome {
  TokenUsage usage;  // counts even when it failed
  UsageSource usage_source = UsageSource::kNone;
  std::optional<Status> failure;
  int provider_status = 0;  // HTTP status of a provider, for the ledger
};

struct TargetRequest {
  const Request& request;
  std::string_view public_model;           // the name that the answer shows
  std::optional<std::int64_t> max_tokens;  // a cap below the client's own, else nothing
};

class Target {
 public:
  virtual ~Target() = default;
  virtual std::string_view name() const = 0;  // "openai/gpt-4.1" or "local/smol", for the ledger and metrics
  virtual const Price& cost() const = 0;      // what an attempt costs us

  // Answers by writing events to `sink`. Ends early with kCancelled or kDeadlineExceeded. Once `sink.started()`, a failure is final:
  // the caller must not try another target. Both arguments outlive the task. Any io thread; events come on that thread.
  virtual net::Task<Outcome> Run(const TargetRequest& request, ResponseSink& sink) = 0;
};

}  // namespace nereid

// What a target answers, event by event. A unary answer is a fold over the same events.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/text.h"
#include "net/task.h"

namespace nereid {

enum class UsageSource : std::uint8_t { kNone, kProvider, kTokenizer, kEstimate };

// First. For relayed answers it carries the provider's head.
struct Started {
  std::string model;  // the public model's name
  int status = 200;   // relayed: the provider's
  bool relayed = false;
  std::string content_type;                                  // relayed
  std::vector<std::pair<std::string, std::string>> headers;  // relayed: those that may pass on
};
struct TextDelta {
  int choice = 0;
  std::string_view text;
  std::optional<FinishReason> finish;  // on the choice's last delta
};
// Of a stream, in the client's dialect already: sent as they are.
struct RelayedBytes {
  std::span<const std::string_view> pieces;
};
// A provider's whole answer, in one write; the only event then. One with an error status is passed on and nothing to charge for.
struct RelayedAnswer {
  Started started;
  TokenUsage usage;
  UsageSource usage_source = UsageSource::kNone;
  std::span<const std::string_view> pieces;
  bool failed() const { return started.status < 200 || started.status >= 300; }
};
// Comes once, before the last bytes leave: the engine settles on it, so that no client sees the end of an answer that has no ledger row.
// A rendered answer ends with it; of a relayed stream the last RelayedBytes follow.
struct Finished {
  TokenUsage usage;
  UsageSource usage_source = UsageSource::kTokenizer;
};

using ResponseEvent = std::variant<Started, TextDelta, RelayedBytes, Finished, RelayedAnswer>;

// Writes an answer to the client. Awaiting Write is the back-pressure. On the request's io thread only.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual net::Task<Nothing> Write(const ResponseEvent& event) = 0;
  // Nothing has left yet, so an error can still be rendered as a status.
  virtual bool started() const = 0;
};

}  // namespace nereid

// A text request as the engine sees it: who asks, for which public model, until when, and the bytes that came.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/tensor.h"
#include "api/text.h"
#include "base/cancellation.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/status.h"

namespace nereid {

enum class Dialect : std::uint8_t { kOpenAi, kAnthropic, kGemini };
enum class Operation : std::uint8_t { kChatCompletions, kCompletions };

// Scopes a key may have; a key with kAdmin may do everything.
enum class Scope : std::uint32_t { kChat = 1, kEmbeddings = 2, kModels = 4, kInfer = 8, kBatch = 16, kAdmin = 32 };

// Who asks. Made once at the door; cheap to copy.
struct Principal {
  std::int64_t key = 0;  // internal number of the key, in the ledger
  std::string key_id;    // public id, "key_..."
  std::uint32_t scopes = 0;
  std::vector<std::string> model_globs;  // empty: every model
  bool bootstrap = false;

  bool Has(Scope scope) const { return (scopes & (static_cast<std::uint32_t>(scope) | static_cast<std::uint32_t>(Scope::kAdmin))) != 0; }
};

// The fields that the gateway itself needs, found in one pass; a repeated one was refused.
struct LocatedFields {
  std::string model;                           // unescaped
  std::size_t model_begin = 0, model_end = 0;  // of the value with its quotes in the raw bytes, to splice another name in
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
  // Where a provider is asked for the usage of a stream, so that it can be settled: `usage_option` goes in place of these raw bytes.
  std::size_t usage_option_begin = 0, usage_option_end = 0;
  std::string_view usage_option;
  std::optional<std::int64_t> max_tokens;  // the tightest of max_tokens, max_completion_tokens, max_output_tokens
  int n = 1;
  std::string service_tier, user;
};

struct TextCall {
  Dialect dialect = Dialect::kOpenAi;
  Operation operation = Operation::kChatCompletions;
  Bytes raw;  // 64 readable bytes follow the end
  LocatedFields fields;
  // protocol's parser of `raw`, handed in by the front end, for a target that needs a document. An error is the client's fault.
  Result<TextRequest> (*parse)(std::string_view raw) = nullptr;
};

struct Request {
  RequestId request_id;
  Principal principal;
  std::string task;  // X-Task-Type, or NAME of task:NAME; labels reports
  std::string client_address;
  TextCall call;
  SteadyTime arrival{};
  WallTime arrival_wall{};
  Deadline deadline;
  Cancellation cancellation = Cancellation::Never();
};

}  // namespace nereid

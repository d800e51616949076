// Who may call what: the v2-auth switch and Triton's restricted protocols.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string_view>

#include "api/request.h"
#include "config/config.h"
#include "net/exchange.h"

namespace nereid::grpc_front {

// What a method belongs to. The order is that of kCategoryNames in access.cc.
enum class Category : std::uint8_t {
  kHealth,
  kMetadata,
  kInference,
  kSharedMemory,
  kModelConfig,
  kModelRepository,
  kStatistics,
  kTrace,
  kLogging
};

// Called on an io thread with the value of `authorization`, nothing when absent.
using Authenticate = std::function<Result<Principal>(std::optional<std::string_view>)>;
// The head of a call: metadata, and what HTTP/2 and gRPC add; names in lower case.
using Metadata = std::span<const net::HeaderField>;
std::optional<std::string_view> FindMetadata(Metadata metadata, std::string_view name);

class Access {
 public:
  // `mode` is settled: what an unset server.auth.v2 means is the caller's to decide.
  Access(V2Auth mode, Authenticate authenticate, std::vector<RestrictedApi> restricted);

  // `changes`: loads, unloads or sets something. `model`: empty when the call is about none.
  Result<Nothing> Check(Category category, bool changes, std::string_view model, Metadata metadata) const;
  // Nothing to check for this category, so that the hot path need not look at the metadata.
  bool Free(Category category, bool changes) const;

 private:
  struct Rule {
    std::string key, value;
  };
  const V2Auth mode_;
  const Authenticate authenticate_;
  std::map<Category, Rule> restricted_;
};

}  // namespace nereid::grpc_front

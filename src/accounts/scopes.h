// What a key may do: named scopes and globs over model names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/request.h"
#include "base/status.h"

namespace nereid::accounts {

struct Rights {
  std::uint32_t scopes = 0;              // bits of Scope
  std::vector<std::string> model_globs;  // empty: every model
};

// "chat", "embeddings", "models", "infer", "batch", "admin", "model:<glob>". kInvalidArgument names what it does not know; at least one
// scope besides "model:" is needed.
Result<Rights> ParseScopes(const std::vector<std::string>& scopes);

// Whether `creator` may grant `wanted`: no scope and no model that it lacks itself. A glob is granted when it is one of the creator's or a
// plain name that one of them matches.
Result<Nothing> CheckGrant(const Principal& creator, const Rights& wanted);

}  // namespace nereid::accounts

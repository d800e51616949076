#include "accounts/scopes.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/glob.h"

namespace nereid::accounts {
namespace {

struct ScopeName {
  std::string_view name;
  Scope scope;
};
constexpr ScopeName kScopes[] = {
    {"chat", Scope::kChat},   {"embeddings", Scope::kEmbeddings}, {"models", Scope::kModels},
    {"infer", Scope::kInfer}, {"batch", Scope::kBatch},           {"admin", Scope::kAdmin},
};
constexpr std::string_view kModelPrefix = "model:";
constexpr std::size_t kScopesMax = 64, kGlobBytesMax = 256;

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

Result<Rights> ParseScopes(const std::vector<std::string>& scopes) {
  auto bad = [](std::string message) { return Error(Code::kInvalidArgument, std::move(message), "invalid_scopes"); };
  if (scopes.size() > kScopesMax) return bad(fmt::format("scopes: at most {} are allowed", kScopesMax));
  Rights rights;
  for (const std::string& text : scopes) {
    if (text.starts_with(kModelPrefix)) {
      std::string glob = text.substr(kModelPrefix.size());
      if (glob.empty() || glob.size() > kGlobBytesMax || HasControl(glob)) return bad(fmt::format("scopes: '{}' names no model", text));
      rights.model_globs.push_back(std::move(glob));
      continue;
    }
    const auto* known = std::find_if(std::begin(kScopes), std::end(kScopes), [&](const ScopeName& scope) { return scope.name == text; });
    if (known == std::end(kScopes)) {
      return bad(fmt::format("scopes: '{}' is unknown; there are chat, embeddings, models, infer, batch, admin and model:<glob>", text));
    }
    rights.scopes |= static_cast<std::uint32_t>(known->scope);
  }
  if (rights.scopes == 0) return bad("scopes: at least one of chat, embeddings, models, infer, batch and admin is needed");
  return rights;
}

Result<Nothing> CheckGrant(const Principal& creator, const Rights& wanted) {
  auto refuse = [](std::string message) { return Error(Code::kPermissionDenied, std::move(message), "scope_exceeds_creator"); };
  for (const ScopeName& scope : kScopes) {
    if ((wanted.scopes & static_cast<std::uint32_t>(scope.scope)) != 0 && !creator.Has(scope.scope)) {
      return refuse(fmt::format("scopes: your key lacks '{}' and cannot grant it", scope.name));
    }
  }
  if (creator.model_globs.empty()) return Nothing{};
  if (wanted.model_globs.empty()) return refuse("scopes: your key is limited to some models and cannot grant all; add model:<glob>");
  for (const std::string& glob : wanted.model_globs) {
    bool plain = !glob.contains('*');
    bool covered = std::any_of(creator.model_globs.begin(), creator.model_globs.end(),
                               [&](const std::string& own) { return own == glob || (plain && GlobMatches(own, glob)); });
    if (!covered) return refuse(fmt::format("scopes: your key does not cover 'model:{}'", glob));
  }
  return Nothing{};
}

}  // namespace nereid::accounts

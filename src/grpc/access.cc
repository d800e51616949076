#include "grpc/access.h"

#include <array>

#include <fmt/format.h>

namespace nereid::grpc_front {
namespace {

constexpr std::array<std::string_view, 9> kCategoryNames = {"health",           "metadata",   "inference", "shared-memory", "model-config",
                                                            "model-repository", "statistics", "trace",     "logging"};
static_assert(kCategoryNames.size() == static_cast<std::size_t>(Category::kLogging) + 1);

// '*' stands for any text.
bool Matches(std::string_view glob, std::string_view name) {
  std::size_t star = glob.find('*');
  if (star == std::string_view::npos) return glob == name;
  if (!name.starts_with(glob.substr(0, star))) return false;
  std::string_view rest = glob.substr(star + 1);
  for (std::size_t skip = star; skip <= name.size(); ++skip) {
    if (Matches(rest, name.substr(skip))) return true;
  }
  return false;
}

// Takes the same time wherever the texts differ: the value is a secret.
bool SameSecret(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

std::optional<std::string_view> FindMetadata(Metadata metadata, std::string_view name) {
  for (const net::HeaderField& field : metadata) {
    if (field.name == name) return field.value;
  }
  return std::nullopt;
}

Access::Access(V2Auth mode, Authenticate authenticate, std::vector<RestrictedApi> restricted)
    : mode_(mode), authenticate_(std::move(authenticate)) {
  for (const RestrictedApi& api : restricted) {
    for (std::size_t i = 0; i < kCategoryNames.size(); ++i) {
      if (std::ranges::find(api.categories, kCategoryNames[i]) != api.categories.end())
        restricted_.emplace(static_cast<Category>(i), Rule{"triton-grpc-protocol-" + api.header, api.value});
    }
  }
}

bool Access::Free(Category category, bool changes) const {
  if (restricted_.contains(category)) return false;
  if (mode_ == V2Auth::kOpen || category == Category::kHealth) return true;
  return mode_ == V2Auth::kInfer && !changes;
}

Result<Nothing> Access::Check(Category category, bool changes, std::string_view model, Metadata metadata) const {
  if (auto rule = restricted_.find(category); rule != restricted_.end()) {
    auto value = FindMetadata(metadata, rule->second.key);
    if (!value || !SameSecret(*value, rule->second.value))
      return Error(Code::kUnavailable, fmt::format("This protocol is restricted, expecting header '{}'", rule->second.key), "restricted");
  }
  if (mode_ == V2Auth::kOpen || category == Category::kHealth || (mode_ == V2Auth::kInfer && !changes)) return Nothing{};
  TRY(Principal principal, authenticate_(FindMetadata(metadata, "authorization")));
  Scope needed = changes ? Scope::kAdmin : Scope::kInfer;
  if (!principal.Has(needed))
    return Error(Code::kPermissionDenied, fmt::format("this call needs a key with the scope '{}'", changes ? "admin" : "infer"),
                 "insufficient_scope");
  bool named = model.empty() || principal.model_globs.empty() ||
               std::ranges::any_of(principal.model_globs, [&](const std::string& glob) { return Matches(glob, model); });
  if (!named) return Error(Code::kPermissionDenied, fmt::format("this key may not use the model '{}'", model), "model_not_allowed");
  return Nothing{};
}

}  // namespace nereid::grpc_front

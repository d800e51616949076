#include "http/admin/key_documents.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <simdjson.h>

#include "http/admin/iso_time.h"
#include "http/openai_respond.h"

namespace nereid::http {
namespace {

namespace dom = simdjson::dom;
using Days = std::chrono::duration<std::int64_t, std::ratio<86400>>;

std::unexpected<Status> Bad(std::string_view field, std::string message) {
  return Error(Code::kInvalidArgument, fmt::format("{}: {}", field, message), fmt::format("invalid_{}", field));
}

Result<Nothing> TakeName(dom::element value, KeySpec& spec) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return Bad("name", "must be a string");
  spec.name = text;
  return Nothing{};
}

Result<Nothing> TakeScopes(dom::element value, KeySpec& spec) {
  dom::array items;
  if (value.get(items) != simdjson::SUCCESS) return Bad("scopes", "must be an array of strings");
  for (dom::element item : items) {
    std::string_view text;
    if (item.get(text) != simdjson::SUCCESS) return Bad("scopes", "must be an array of strings");
    spec.scopes.emplace_back(text);
  }
  return Nothing{};
}

Result<Nothing> TakeExpiry(dom::element value, KeySpec& spec) {
  if (value.is_null()) return Nothing{};
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return Bad("expires_at", "must be a string or null");
  spec.expires_at = ParseIsoTime(text);
  if (!spec.expires_at) return Bad("expires_at", fmt::format("'{}' is no ISO 8601 time such as 2026-12-31T23:59:59Z", text.substr(0, 64)));
  return Nothing{};
}

struct Field {
  std::string_view name;
  Result<Nothing> (*take)(dom::element, KeySpec&);
  bool required;
};
constexpr Field kFields[] = {{"name", TakeName, true}, {"scopes", TakeScopes, true}, {"expires_at", TakeExpiry, false}};

std::string Fields(const KeyRecord& key) {
  std::string scopes;
  for (const std::string& scope : key.scopes) scopes += (scopes.empty() ? "" : ",") + JsonString(scope);
  return fmt::format(R"("name":{},"scopes":[{}],"created_at":"{}","expires_at":{})", JsonString(key.name), scopes,
                     FormatIsoTime(key.created_at), key.expires_at ? fmt::format("\"{}\"", FormatIsoTime(*key.expires_at)) : "null");
}

std::string Lifetime(const KeyRecord& key, WallTime now) {
  if (!key.expires_at) return R"("days_left":null)";
  auto left = std::max<std::int64_t>(std::chrono::ceil<Days>(*key.expires_at - now).count(), 0);
  // Rounded: the client computed the end a moment before the key was made. At least one: a copy of a key of some hours must live, too.
  auto whole = std::max<std::int64_t>(std::chrono::round<Days>(*key.expires_at - key.created_at).count(), 1);
  return fmt::format(R"("days_left":{},"expires_in_days":{})", left, whole);
}

}  // namespace

Result<KeySpec> ParseKeySpec(std::string_view body) {
  dom::parser parser;
  dom::element root;
  dom::object object;
  if (auto error = parser.parse(body.data(), body.size()).get(root); error != simdjson::SUCCESS) {
    return Error(Code::kInvalidArgument, fmt::format("The body is not JSON: {}", simdjson::error_message(error)), "invalid_json");
  }
  if (root.get(object) != simdjson::SUCCESS) return Error(Code::kInvalidArgument, "The body must be a JSON object", "invalid_json");
  KeySpec spec;
  std::set<std::string_view> seen;
  for (const auto& [name, value] : object) {
    const auto* field =
        std::find_if(std::begin(kFields), std::end(kFields), [key = name](const Field& known) { return known.name == key; });
    if (field == std::end(kFields)) {
      return Error(Code::kInvalidArgument, fmt::format("Unknown field '{}'; there are name, scopes and expires_at", name.substr(0, 64)),
                   "unknown_field");
    }
    if (!seen.insert(field->name).second) return Bad(field->name, "is given twice");
    TRY_DO(field->take(value, spec));
  }
  for (const Field& field : kFields) {
    if (field.required && !seen.contains(field.name)) return Bad(field.name, "is missing");
  }
  return spec;
}

std::string RenderKey(const KeyRecord& key, WallTime now) {
  return fmt::format(R"({{"id":{},{},{}}})", JsonString(key.id), Fields(key), Lifetime(key, now));
}

std::string RenderKeys(std::span<const KeyRecord> keys, WallTime now) {
  std::string items;
  for (const KeyRecord& key : keys) items += (items.empty() ? "" : ",") + RenderKey(key, now);
  return fmt::format(R"({{"keys":[{}]}})", items);
}

std::string RenderCreatedKey(const CreatedKey& created, WallTime now) {
  return fmt::format(R"({{"id":{},"key":{},{},{}}})", JsonString(created.record.id), JsonString(created.secret), Fields(created.record),
                     Lifetime(created.record, now));
}

}  // namespace nereid::http

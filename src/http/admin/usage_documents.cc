#include "http/admin/usage_documents.h"

#include <charconv>
#include <set>

#include <fmt/format.h>

#include "base/money.h"
#include "http/openai_respond.h"

namespace nereid::http {
namespace {

std::unexpected<Status> Bad(std::string_view field, std::string_view message) {
  return Error(Code::kInvalidArgument, fmt::format("{}: {}", field, message), fmt::format("invalid_{}", field));
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string Decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 && HexValue(text[i + 2]) >= 0) {
      out += static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

struct TextFilter {
  std::string_view name;
  std::optional<std::string> UsageFilter::* member;
};
constexpr TextFilter kTextFilters[] = {{"key", &UsageFilter::key},
                                       {"model", &UsageFilter::model},
                                       {"target", &UsageFilter::target},
                                       {"task", &UsageFilter::task},
                                       {"day", &UsageFilter::day}};

// charge * 1000 / tokens in units of 10^-4 USD, half to even.
NanoUsd PerThousandTokens(NanoUsd charge, std::int64_t tokens) {
  if (tokens <= 0) return 0;
  constexpr std::int64_t kUnit = 100'000;
  __int128 numerator = static_cast<__int128>(charge) * 1000, denominator = static_cast<__int128>(tokens) * kUnit;
  bool negative = numerator < 0;
  if (negative) numerator = -numerator;
  __int128 whole = numerator / denominator, twice_rest = numerator % denominator * 2;
  if (twice_rest > denominator || (twice_rest == denominator && whole % 2 == 1)) ++whole;
  return static_cast<NanoUsd>((negative ? -whole : whole) * kUnit);
}

}  // namespace

Result<UsageFilter> ParseUsageQuery(std::string_view query) {
  UsageFilter filter;
  std::set<std::string> seen;
  while (!query.empty()) {
    std::size_t end = std::min(query.find('&'), query.size());
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    std::size_t equals = std::min(pair.find('='), pair.size());
    std::string name = Decode(pair.substr(0, equals)), value = Decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!seen.insert(name).second) return Bad(name, "is given twice");
    if (name == "hours") {
      auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), filter.hours);
      if (value.empty() || error != std::errc{} || stop != value.data() + value.size()) return Bad("hours", "must be a number");
      continue;
    }
    bool known = false;
    for (const TextFilter& text : kTextFilters) {
      if (text.name != name) continue;
      known = true;
      if (!value.empty()) filter.*text.member = value;
    }
    if (!known) {
      return Error(Code::kInvalidArgument, fmt::format("Unknown parameter '{}'; there are hours, key, model, target, task and day", name),
                   "unknown_field");
    }
  }
  if (filter.day && seen.contains("hours")) return Bad("day", "cannot be given together with hours");
  return filter;
}

std::string RenderUsage(const UsageReport& report) {
  std::string models;
  for (const ModelUsage& model : report.models) {
    models += fmt::format(R"({}{}:{{"tokens":{},"cost":{},"requests":{}}})", models.empty() ? "" : ",", JsonString(model.model),
                          model.tokens, FormatUsd(model.charge, 9), model.requests);
  }
  return fmt::format(
      R"({{"period_hours":{},"total_requests":{},"total_tokens":{},"total_cost_usd":{},"avg_latency_ms":{:.2f},"model_breakdown":{{{}}},"cost_per_1k_tokens":{}}})",
      report.period_hours, report.total_requests, report.total_tokens, FormatUsd(report.total_charge, 4), report.avg_latency_ms, models,
      FormatUsd(PerThousandTokens(report.total_charge, report.total_tokens), 4));
}

}  // namespace nereid::http

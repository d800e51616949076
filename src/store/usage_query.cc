#include "store/usage_query.h"

#include <cmath>

#include <fmt/format.h>

#include "store/times.h"

namespace nereid::store {
namespace {

constexpr double kHoursMax = 24.0 * 366 * 100;

// Adjustments (kind 3) correct the money of a settlement and are no request of their own.
constexpr std::string_view kByModel = R"sql(
SELECT COALESCE((SELECT text FROM names WHERE number = model), ''),
       SUM(kind = 2), SUM(input + cache_read + cache_write + output + reasoning), SUM(charge), SUM(latency_us)
FROM ledger
WHERE at >= ?1 AND at < ?2
  AND ((flags & 4) = 0
       OR (((flags & 8) != 0 OR http_status BETWEEN 1 AND 399) AND input + cache_read + cache_write + output + reasoning > 0))
  AND (?3 IS NULL OR key IN (SELECT number FROM keys WHERE id = ?3))
  AND (?4 IS NULL OR model IN (SELECT number FROM names WHERE text = ?4))
  AND (?5 IS NULL OR target IN (SELECT number FROM names WHERE text = ?5))
  AND (?6 IS NULL OR task IN (SELECT number FROM names WHERE text = ?6))
GROUP BY model ORDER BY 1)sql";

struct Period {
  std::int64_t begin_us = 0, end_us = 0;
  double hours = 0;
};

std::optional<std::chrono::sys_days> ParseDay(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  int parts[3] = {};
  for (std::size_t i = 0, part = 0; i < text.size(); ++i) {
    if (i == 4 || i == 7) {
      ++part;
      continue;
    }
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    parts[part] = parts[part] * 10 + (text[i] - '0');
  }
  std::chrono::year_month_day day{std::chrono::year{parts[0]}, std::chrono::month{static_cast<unsigned>(parts[1])},
                                  std::chrono::day{static_cast<unsigned>(parts[2])}};
  if (!day.ok()) return std::nullopt;
  return std::chrono::sys_days{day};
}

Result<Period> PeriodOf(const UsageFilter& filter, WallTime now) {
  if (filter.day) {
    std::optional<std::chrono::sys_days> day = ParseDay(*filter.day);
    if (!day) return Error(Code::kInvalidArgument, fmt::format("day '{}' is no date such as 2026-01-31", *filter.day), "bad_day");
    std::int64_t begin = std::chrono::duration_cast<Micros>(day->time_since_epoch()).count();
    return Period{begin, begin + std::chrono::duration_cast<Micros>(std::chrono::hours(24)).count(), 24};
  }
  if (!std::isfinite(filter.hours) || filter.hours <= 0 || filter.hours > kHoursMax) {
    return Error(Code::kInvalidArgument, fmt::format("hours must be more than 0 and at most {}", kHoursMax), "bad_hours");
  }
  return Period{ToMicros(now) - static_cast<std::int64_t>(filter.hours * 3.6e9), std::numeric_limits<std::int64_t>::max(), filter.hours};
}

}  // namespace

Result<UsageReport> QueryUsage(Database& database, const UsageFilter& filter, WallTime now) {
  TRY(Period period, PeriodOf(filter, now));
  TRY(Statement rows, Statement::Prepare(database, kByModel));
  rows.Bind(1, period.begin_us).Bind(2, period.end_us);
  int at = 3;
  for (const auto* value : {&filter.key, &filter.model, &filter.target, &filter.task}) {
    if (*value) rows.BindText(at, **value);
    ++at;
  }
  UsageReport report;
  report.period_hours = period.hours;
  report.watermark = now;
  std::int64_t latency_us = 0;
  for (;;) {
    TRY(bool row, rows.Step());
    if (!row) break;
    ModelUsage usage{std::string(rows.Text(0)), rows.Int(2), rows.Int(1), rows.Int(3)};
    report.total_requests += usage.requests;
    report.total_tokens += usage.tokens;
    report.total_charge += usage.charge;
    latency_us += rows.Int(4);
    report.models.push_back(std::move(usage));
  }
  if (report.total_requests > 0)
    report.avg_latency_ms = static_cast<double>(latency_us) / 1000.0 / static_cast<double>(report.total_requests);
  return report;
}

}  // namespace nereid::store

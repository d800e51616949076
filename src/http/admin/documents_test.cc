// Times, bodies and queries of the admin API.
#include <gtest/gtest.h>

#include "http/admin/iso_time.h"
#include "http/admin/key_documents.h"
#include "http/admin/usage_documents.h"

namespace nereid::http {
namespace {

constexpr WallTime kNewYear{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
constexpr auto kDay = std::chrono::hours(24);

std::string Again(std::string_view text) {
  auto time = ParseIsoTime(text);
  return time ? FormatIsoTime(*time) : "nothing";
}

TEST(IsoTime, TakesWhatPythonSendsAndGivesNoneOrSixDigits) {
  EXPECT_EQ(Again("2099-01-01T00:00:00.123456Z"), "2099-01-01T00:00:00.123456Z");
  EXPECT_EQ(Again("2026-02-28T23:59:59Z"), "2026-02-28T23:59:59Z");
  EXPECT_EQ(Again("2026-02-28 23:59:59.5z"), "2026-02-28T23:59:59.500000Z");
  EXPECT_EQ(Again("2026-01-01T01:30:00+02:00"), "2025-12-31T23:30:00Z");
  EXPECT_EQ(Again("2026-01-01T00:00:00-0130"), "2026-01-01T01:30:00Z");
}

TEST(IsoTime, RefusesEverythingElse) {
  for (const char* text : {"", "soon", "2026-01-01", "2026-01-01T00:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
                           "2026-01-01T24:00:00Z", "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1234567890Z",
                           "9999-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00Z", "-026-01-01T00:00:00Z", "2026-01-01T00:00:00+24:00"}) {
    EXPECT_EQ(ParseIsoTime(text), std::nullopt) << text;
  }
}

std::string ErrorOf(std::string_view body) {
  auto spec = ParseKeySpec(body);
  return spec ? "none" : spec.error().reason;
}

TEST(ParseKeySpec, ReadsTheThreeFields) {
  auto spec = ParseKeySpec(R"({"name":"k\u00e9","scopes":["chat","model:gpt-*"],"expires_at":"2026-01-02T00:00:00Z"})");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->name, "k\xc3\xa9");
  EXPECT_EQ(spec->scopes.size(), 2u);
  EXPECT_EQ(*spec->expires_at, kNewYear + kDay);
  EXPECT_FALSE(ParseKeySpec(R"({"name":"k","scopes":[],"expires_at":null})")->expires_at);
}

TEST(ParseKeySpec, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(ErrorOf(R"({"scopes":["chat"]})"), "invalid_name");
  EXPECT_EQ(ErrorOf(R"({"name":1,"scopes":["chat"]})"), "invalid_name");
  EXPECT_EQ(ErrorOf(R"({"name":"k","scopes":"chat"})"), "invalid_scopes");
  EXPECT_EQ(ErrorOf(R"({"name":"k","scopes":[1]})"), "invalid_scopes");
  EXPECT_EQ(ErrorOf(R"({"name":"k","scopes":[],"expires_at":"soon"})"), "invalid_expires_at");
  EXPECT_EQ(ErrorOf(R"({"name":"k","scopes":[],"color":"red"})"), "unknown_field");
  EXPECT_EQ(ErrorOf(R"({"name":"k","na\u006de":"l","scopes":[]})"), "invalid_name") << "twice, once escaped";
  for (const char* body : {"", "{", "[]", "null", R"({"name":"k"} x)", "{\"name\":\"\xff\"}"})
    EXPECT_EQ(ErrorOf(body), "invalid_json") << body;
}

TEST(RenderKey, ShowsTheWholeLifetimeHoweverLittleIsLeft) {
  KeyRecord key{"key_a", "shop", {"chat"}, kNewYear, kNewYear + 90 * kDay - Millis(3)};
  std::string text = RenderKey(key, kNewYear + 84 * kDay);
  EXPECT_EQ(text, R"({"id":"key_a","name":"shop","scopes":["chat"],"created_at":"2026-01-01T00:00:00Z",)"
                  R"("expires_at":"2026-03-31T23:59:59.997000Z","days_left":6,"expires_in_days":90})");
}

TEST(RenderKey, HasNoLifetimeWithoutAnEnd) {
  std::string text = RenderKey({"key_a", "shop", {"chat"}, kNewYear, std::nullopt}, kNewYear);
  EXPECT_EQ(text.find("expires_in_days"), std::string::npos);
  EXPECT_NE(text.find(R"("expires_at":null)"), std::string::npos);
}

TEST(ParseUsageQuery, ReadsFiltersAndRefusesWhatItDoesNotKnow) {
  auto filter = ParseUsageQuery("hours=1.5&key=key_a&model=gpt%2D4.1&task=&target=openai%2Fx");
  ASSERT_TRUE(filter);
  EXPECT_EQ(filter->hours, 1.5);
  EXPECT_EQ(filter->model, "gpt-4.1");
  EXPECT_EQ(filter->target, "openai/x");
  EXPECT_FALSE(filter->task);
  EXPECT_EQ(ParseUsageQuery("")->hours, 24);
  for (const char* query : {"hours=", "hours=1x", "hours=1&hours=2", "hour=1", "day=2026-01-01&hours=2"})
    EXPECT_FALSE(ParseUsageQuery(query)) << query;
}

TEST(RenderUsage, RoundsMoneyExactly) {
  UsageReport report;
  report.period_hours = 1;
  report.total_requests = 3;
  report.total_tokens = 2000;
  report.total_charge = 1'250'050'000;  // $1.25005
  report.avg_latency_ms = 12.345;
  report.models = {{"a", 2000, 3, 1'250'050'000}};
  EXPECT_EQ(RenderUsage(report),
            R"({"period_hours":1,"total_requests":3,"total_tokens":2000,"total_cost_usd":1.2500,"avg_latency_ms":12.35,)"
            R"("model_breakdown":{"a":{"tokens":2000,"cost":1.250050000,"requests":3}},"cost_per_1k_tokens":0.6250})");
  EXPECT_NE(RenderUsage({}).find(R"("cost_per_1k_tokens":0.0000)"), std::string::npos);
}

}  // namespace
}  // namespace nereid::http

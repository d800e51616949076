#include "http/v2/trace_settings.h"

#include <gtest/gtest.h>

namespace nereid::http {
namespace {

constexpr std::string_view kDefaults =
    R"({"trace_level":["OFF"],"trace_rate":"1000","trace_count":"-1","log_frequency":"0","trace_file":"","trace_mode":"triton"})";

std::string Refusal(std::string_view document) {
  TraceSettings settings;
  auto applied = settings.Apply("", document);
  EXPECT_EQ(settings.Render(""), kDefaults) << "a refused document changed something";
  return applied ? "accepted" : applied.error().message;
}

TEST(TraceSettings, AModelFollowsTheGlobalSettingUntilItHasItsOwn) {
  TraceSettings settings;
  ASSERT_TRUE(settings.Apply("", R"({"trace_rate":"5"})"));
  EXPECT_NE(settings.Render("simple").find(R"("trace_rate":"5")"), std::string::npos);
  ASSERT_TRUE(settings.Apply("simple", R"({"trace_rate":"7"})"));
  EXPECT_NE(settings.Render("simple").find(R"("trace_rate":"7")"), std::string::npos);
  EXPECT_NE(settings.Render("").find(R"("trace_rate":"5")"), std::string::npos);
  ASSERT_TRUE(settings.Apply("simple", R"({"trace_rate":null})"));
  EXPECT_NE(settings.Render("simple").find(R"("trace_rate":"5")"), std::string::npos);
}

TEST(TraceSettings, WhatCannotBeIsRefusedInTritonsWords) {
  EXPECT_EQ(Refusal(R"({"log_frequency":"9","trace_rate":"abc"})"), "Unable to parse 'trace_rate', got: abc");
  EXPECT_EQ(Refusal(R"({"trace_count":"-2"})"), "Unable to parse 'trace_count'. Expecting value >= -1, got:-2");
  EXPECT_EQ(Refusal(R"({"trace_file":"x"})"), "trace file location can not be updated through network protocol");
  EXPECT_EQ(Refusal(R"({"trace_level":["TIMESTAMPS"]})"), "Attempting to set invalid trace setting :trace file name is not given");
  EXPECT_EQ(Refusal(R"({"trace_level":["OFF","TIMESTAMPS"]})"), "Expect only one trace level 'OFF' is specified");
  EXPECT_EQ(Refusal(R"({"trace_rate":5})"), "attempt to access JSON non-string as string");
  EXPECT_EQ(Refusal("{"), "failed to parse the request JSON buffer: Missing a name for object member. at 1");
  EXPECT_EQ(Refusal(""), "failed to parse the request JSON buffer: The document is empty. at 0");
}

TEST(TraceSettings, UnknownSettingsAndLevelsAreIgnored) {
  EXPECT_EQ(Refusal(R"({"foo":"bar","trace_level":["SOME"],"trace_mode":"opentelemetry"})"), "accepted");
}

}  // namespace
}  // namespace nereid::http

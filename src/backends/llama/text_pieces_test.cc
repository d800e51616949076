#include <gtest/gtest.h>

#include "backends/llama/stop_matcher.h"
#include "backends/llama/utf8_filter.h"

namespace nereid::llama {
namespace {

TEST(Utf8Filter, HoldsACharacterBackUntilItsLastByte) {
  Utf8Filter filter;
  EXPECT_EQ(filter.Append("a\xE2"), "a");
  EXPECT_EQ(filter.Append("\x82"), "");
  EXPECT_EQ(filter.Append("\xAC!"), "\xE2\x82\xAC!");
  EXPECT_EQ(filter.Finish(), "");
}

TEST(Utf8Filter, ReplacesAnIncompleteEnd) {
  Utf8Filter filter;
  EXPECT_EQ(filter.Append("a\xF0\x9F\x98"), "a");
  EXPECT_EQ(filter.Finish(), "\xEF\xBF\xBD");
}

TEST(Utf8Filter, ReplacesOverlongFormsSurrogatesAndStrayBytes) {
  Utf8Filter filter;
  EXPECT_EQ(filter.Append("\x80"), "\xEF\xBF\xBD");
  EXPECT_EQ(filter.Append("\xC0z"), "\xEF\xBF\xBDz");
  EXPECT_EQ(filter.Append("\xED\xA0z"), "\xEF\xBF\xBD\xEF\xBF\xBDz");
  EXPECT_EQ(filter.Append("\xF5"), "\xEF\xBF\xBD");
}

TEST(Utf8Filter, GoesOnAfterACutCharacter) {
  Utf8Filter filter;
  EXPECT_EQ(filter.Append("\xE2\x82x"), "\xEF\xBF\xBDx");
}

TEST(StopMatcher, ShowsTextAtOnceWithoutStops) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.Append("END"), "END");
}

TEST(StopMatcher, HoldsBackABeginningAndShowsItWhenItIsNone) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.Append("the E"), "the ");
  EXPECT_EQ(matcher.Append("N"), "");
  EXPECT_EQ(matcher.Append("O"), "ENO");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, FindsAStopAcrossPiecesAndDropsTheRest) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.Append("aE"), "a");
  EXPECT_EQ(matcher.Append("NDb"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.Append("more"), "");
  EXPECT_EQ(matcher.Finish(), "");
}

TEST(StopMatcher, TakesTheEarliestOfSeveral) {
  StopMatcher matcher({"world", "o w", ""});
  EXPECT_EQ(matcher.Append("hello world"), "hell");
}

TEST(StopMatcher, FindsAStopThatOverlapsAFalseStart) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(matcher.Append("aa"), "");
  EXPECT_EQ(matcher.Append("ab"), "a");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, GivesTheHeldTextAtTheEnd) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.Append("xEN"), "x");
  EXPECT_EQ(matcher.Finish(), "EN");
}

}  // namespace
}  // namespace nereid::llama

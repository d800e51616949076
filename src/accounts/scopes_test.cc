#include "accounts/scopes.h"

#include <gtest/gtest.h>

#include "base/glob.h"

namespace nereid::accounts {
namespace {

Principal Holder(std::vector<std::string> scopes) {
  Rights rights = *ParseScopes(scopes);
  return {1, "key_x", rights.scopes, rights.model_globs, false};
}
bool MayGrant(std::vector<std::string> own, std::vector<std::string> wanted) {
  return CheckGrant(Holder(own), *ParseScopes(wanted)).has_value();
}

TEST(GlobMatches, StarIsAnyTextAndTheRestIsItself) {
  EXPECT_TRUE(GlobMatches("gpt-*", "gpt-4.1"));
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("*-v3.2", "deepseek-v3.2"));
  EXPECT_TRUE(GlobMatches("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(GlobMatches("gpt-*", "xgpt-4"));
  EXPECT_FALSE(GlobMatches("gpt", "gpt-4"));
  EXPECT_FALSE(GlobMatches("", "a"));
  EXPECT_FALSE(GlobMatches("gpt-?", "gpt-4"));
}

TEST(ParseScopes, NamesWhatItDoesNotKnow) {
  EXPECT_NE(ParseScopes({"chat", "everything"}).error().message.find("'everything'"), std::string::npos);
  EXPECT_FALSE(ParseScopes({}));
  EXPECT_FALSE(ParseScopes({"model:gpt-*"})) << "models alone give nothing to do with them";
  EXPECT_FALSE(ParseScopes({"chat", "model:"}));
  EXPECT_EQ(ParseScopes({"chat", "model:gpt-*"})->model_globs, std::vector<std::string>{"gpt-*"});
}

TEST(CheckGrant, NobodyGivesMoreThanHeHas) {
  EXPECT_TRUE(MayGrant({"admin"}, {"admin", "chat", "model:*"}));
  EXPECT_FALSE(MayGrant({"chat"}, {"chat", "admin"}));
  EXPECT_FALSE(MayGrant({"admin", "model:gpt-*"}, {"chat"})) << "all models";
  EXPECT_FALSE(MayGrant({"admin", "model:gpt-*"}, {"chat", "model:*"}));
  EXPECT_FALSE(MayGrant({"admin", "model:gpt-*"}, {"chat", "model:gpt-4*"})) << "only plain names are compared with globs";
  EXPECT_TRUE(MayGrant({"admin", "model:gpt-*"}, {"chat", "model:gpt-4.1", "model:gpt-*"}));
}

}  // namespace
}  // namespace nereid::accounts

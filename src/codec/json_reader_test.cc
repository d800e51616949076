#include "codec/json_reader.h"

#include <cmath>

#include <gtest/gtest.h>

namespace nereid::json {
namespace {

using Type = Reader::Type;
using Number = Reader::Number;

std::string Problem(std::string_view text) {
  return Reader::Check(text).value_or("valid");
}

std::string StringOf(std::string_view text) {
  Reader reader(text);
  std::string out;
  return reader.ReadString(out) ? out : "error: " + reader.Problem();
}

Number NumberOf(std::string_view text, std::int64_t& i, std::uint64_t& u, double& d) {
  Reader reader(text);
  return reader.ReadNumber(i, u, d);
}

TEST(JsonReader, SaysWhatIsWrongInRapidJsonsWords) {
  EXPECT_EQ(Problem("{"), "Missing a name for object member. at 1");
  EXPECT_EQ(Problem(R"({"inputs":[],})"), "Missing a name for object member. at 13");
  EXPECT_EQ(Problem(R"({"a" 1})"), "Missing a colon after a name of object member. at 5");
  EXPECT_EQ(Problem(R"({"a":1 "b":2})"), "Missing a comma or } after an object member. at 7");
  EXPECT_EQ(Problem("[1 2]"), "Missing a comma or ] after an array element. at 3");
  EXPECT_EQ(Problem("[1,]"), "Invalid value. at 3");
  EXPECT_EQ(Problem(R"(["abc)"), "Missing a closing quotation mark in string. at 1");
  EXPECT_EQ(Problem("1 2"), "The document root must not be followed by other values. at 2");
  EXPECT_EQ(Problem(""), "The document is empty. at 0");
  EXPECT_EQ(Problem("  "), "The document is empty. at 0");
  EXPECT_EQ(Problem("[1.]"), "Miss fraction part in number. at 3");
  EXPECT_EQ(Problem("[1e]"), "Miss exponent in number. at 3");
  EXPECT_EQ(Problem(R"({"a":[1,-2.5e3,true,null,"x\u00e4",NaN,-Infinity]})"), "valid");
}

TEST(JsonReader, BoundsTheDepth) {
  bool too_deep = false;
  EXPECT_FALSE(Reader::Check(std::string(100, '[') + std::string(100, ']'), &too_deep));
  EXPECT_TRUE(Reader::Check(std::string(101, '[') + std::string(101, ']'), &too_deep));
  EXPECT_TRUE(too_deep);
  EXPECT_EQ(Problem(std::string(200, '[')), "Invalid value. at 200") << "what is no JSON at all is said to be none";
  EXPECT_TRUE(Reader::Check(std::string(1 << 20, '[') + std::string(1 << 20, ']')));
}

TEST(JsonReader, UnescapesStrings) {
  EXPECT_EQ(StringOf(R"("a\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00")"), "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(StringOf(R"("\ud83d")"), "error: The surrogate pair in string is invalid. at 1");
  EXPECT_EQ(StringOf(R"("\x")"), "error: Invalid escape character in string. at 1");
  EXPECT_EQ(StringOf("\"a\nb\""), "error: Invalid encoding in string. at 2");
}

TEST(JsonReader, TellsIntegersFromNumbersThatOnlyADoubleHolds) {
  std::int64_t i = 0;
  std::uint64_t u = 0;
  double d = 0;
  EXPECT_EQ(NumberOf("-9223372036854775808", i, u, d), Number::kInt);
  EXPECT_EQ(i, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(NumberOf("18446744073709551615", i, u, d), Number::kUint);
  EXPECT_EQ(u, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(NumberOf("18446744073709551616", i, u, d), Number::kDouble);
  EXPECT_EQ(d, 18446744073709551616.0);
  EXPECT_EQ(NumberOf("1e-400", i, u, d), Number::kDouble);
  EXPECT_EQ(d, 0.0);
  EXPECT_EQ(NumberOf("1e400", i, u, d), Number::kNone);
  EXPECT_EQ(NumberOf("NaN", i, u, d), Number::kDouble);
  EXPECT_TRUE(std::isnan(d));
  EXPECT_EQ(NumberOf("-Infinity", i, u, d), Number::kDouble);
  EXPECT_EQ(d, -std::numeric_limits<double>::infinity());
}

TEST(JsonReader, PullsMembersAndElementsInOrder) {
  Reader reader(R"( { "a" : [ 1 , 2 ] , "b" : { } } )");
  std::string key, seen;
  ASSERT_TRUE(reader.EnterObject());
  while (reader.NextMember(key)) {
    seen += key;
    if (reader.Peek() == Type::kArray) {
      reader.EnterArray();
      while (reader.NextElement() && reader.Skip()) seen += '.';
    } else {
      reader.Skip();
    }
  }
  EXPECT_TRUE(reader.Finish());
  EXPECT_EQ(seen, "a..b");
}

}  // namespace
}  // namespace nereid::json

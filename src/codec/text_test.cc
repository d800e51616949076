// Writing JSON text, and base64.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "codec/base64.h"
#include "codec/json_text.h"

namespace nereid {
namespace {

std::string Printed(double value) {
  std::string out;
  json::AppendDouble(out, value);
  return out;
}

std::string Quoted(std::string_view text) {
  std::string out;
  json::AppendString(out, text);
  return out;
}

TEST(JsonText, PrintsDoublesAsTritonDoes) {
  EXPECT_EQ(Printed(1), "1.0");
  EXPECT_EQ(Printed(0), "0.0");
  EXPECT_EQ(Printed(-0.0), "-0.0");
  EXPECT_EQ(Printed(static_cast<double>(0.1f)), "0.10000000149011612");
  EXPECT_EQ(Printed(-1.5), "-1.5");
  EXPECT_EQ(Printed(static_cast<double>(3.4e38f)), "3.3999999521443642e38");
  EXPECT_EQ(Printed(1e21), "1e21");
  EXPECT_EQ(Printed(1e-7), "1e-7");
  EXPECT_EQ(Printed(0.000001), "0.000001");
  EXPECT_EQ(Printed(123456.75), "123456.75");
  EXPECT_EQ(Printed(std::numeric_limits<double>::quiet_NaN()), "NaN");
  EXPECT_EQ(Printed(-std::numeric_limits<double>::infinity()), "-Infinity");
}

TEST(JsonText, EscapesWhatMustBeAndReplacesWhatIsNoUtf8) {
  EXPECT_EQ(Quoted("a\"b\\c\n\x01"), R"("a\"b\\c\n\u0001")");
  EXPECT_EQ(Quoted("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\"");
  EXPECT_EQ(Quoted("x\xff\xc3"), "\"x\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(Quoted("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"") << "a lone surrogate";
}

TEST(Base64, GoesBothWays) {
  for (std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"}) {
    auto back = codec::DecodeBase64(codec::EncodeBase64(text));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, text);
  }
  EXPECT_EQ(codec::EncodeBase64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(codec::EncodeBase64("\xff\xfe"), "//4=");
}

TEST(Base64, RefusesWhatIsNone) {
  for (std::string_view text : {"Zg", "Zg=", "Z===", "Zg==Zg==", "Zm9v!mFy", "=g=="}) EXPECT_FALSE(codec::DecodeBase64(text)) << text;
}

}  // namespace
}  // namespace nereid

// The cases of tests/golden/config and tests/golden/cli: "#" a name, ">" input lines, "<" what must come out, "~" a warning.
#include "base/golden_for_test.h"
#include "config/flags.h"

namespace nereid {
namespace {

std::vector<GoldenCase> Cases(const std::string& name) {
  std::vector<GoldenCase> cases = ReadGolden(NEREID_GOLDEN_DIR "/" + name);
  std::erase_if(cases, [](const GoldenCase& one) { return one.name.empty(); });
  EXPECT_FALSE(cases.empty());
  return cases;
}

std::string Text(const GoldenCase& one) {
  std::string text;
  for (const std::string& line : one.input) text += line + "\n";
  return text;
}

TEST(ConfigGolden, AcceptedFilesPrintWhatTheySayAndReadBackAsTheSame) {
  for (const GoldenCase& one : Cases("config/accepted.case")) {
    SCOPED_TRACE(one.name);
    auto config = ParseConfig(Text(one), Config{}, "nereid.yaml");
    ASSERT_TRUE(config) << config.error().message;
    std::string printed = PrintConfig(*config);
    for (const std::string& line : one.expected)
      EXPECT_NE(printed.find(" " + line + "\n"), std::string::npos) << line << "\nis not in\n" << printed;
    auto again = ParseConfig(printed, Config{}, "printed");
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(PrintConfig(*again), printed);
  }
}

TEST(ConfigGolden, RefusedFilesSayWhereAndWhy) {
  RunGolden(NEREID_GOLDEN_DIR "/config/refused.case", [](const GoldenCase& one) -> std::string {
    auto config = ParseConfig(Text(one), Config{}, "nereid.yaml");
    return config ? "accepted" : config.error().message;
  });
}

std::string LastLine(std::string text) {
  while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
  std::size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

TEST(CliGolden, RecordedTritonCommandLinesEndAsRecorded) {
  for (const GoldenCase& one : Cases("cli/triton_recorded.case")) {
    SCOPED_TRACE(one.name);
    auto options = ParseFlags(one.input, true);
    if (one.name.ends_with(": runs")) {
      ASSERT_TRUE(options) << LastLine(options.error().message);
      EXPECT_FALSE(options->early_exit);
      for (const std::string& warning : one.notes)
        EXPECT_NE(std::ranges::find(options->warnings, warning), options->warnings.end()) << warning;
    } else if (one.name.starts_with("help:")) {
      ASSERT_TRUE(options && options->early_exit);
      EXPECT_EQ(options->early_exit->code, 1);
    } else {
      ASSERT_FALSE(options);
      if (!one.expected.empty()) EXPECT_EQ(LastLine(options.error().message).substr(0, one.expected[0].size()), one.expected[0]);
    }
  }
}

}  // namespace
}  // namespace nereid

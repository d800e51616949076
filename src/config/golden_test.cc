// The cases of tests/golden/config and tests/golden/cli: "#" a name, ">" input lines, "<" what must come out, "~" a warning.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "config/flags.h"

namespace nereid {
namespace {

struct Case {
  std::string name;
  std::vector<std::string> input, expected, warnings;
};

std::vector<Case> ReadCases(const std::string& name) {
  std::filesystem::path file = std::filesystem::path(NEREID_GOLDEN_DIR) / name;
  std::ifstream stream(file);
  EXPECT_TRUE(stream) << file;
  std::vector<Case> cases;
  for (std::string line; std::getline(stream, line);) {
    std::string rest = line.size() > 2 ? line.substr(2) : "";
    if (line.starts_with('#')) cases.push_back({rest, {}, {}, {}});
    if (line.starts_with('>')) cases.back().input.push_back(rest);
    if (line.starts_with('<')) cases.back().expected.push_back(rest);
    if (line.starts_with('~')) cases.back().warnings.push_back(rest);
  }
  EXPECT_FALSE(cases.empty());
  return cases;
}

std::string Text(const Case& one) {
  std::string text;
  for (const std::string& line : one.input) text += line + "\n";
  return text;
}

TEST(ConfigGolden, AcceptedFilesPrintWhatTheySayAndReadBackAsTheSame) {
  for (const Case& one : ReadCases("config/accepted.case")) {
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
  for (const Case& one : ReadCases("config/refused.case")) {
    SCOPED_TRACE(one.name);
    auto config = ParseConfig(Text(one), Config{}, "nereid.yaml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().message, one.expected.at(0));
  }
}

std::string LastLine(std::string text) {
  while (text.ends_with('\n') || text.ends_with(' ')) text.pop_back();
  std::size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

TEST(CliGolden, RecordedTritonCommandLinesEndAsRecorded) {
  for (const Case& one : ReadCases("cli/triton_recorded.case")) {
    SCOPED_TRACE(one.name);
    auto options = ParseFlags(one.input, true);
    if (one.name.ends_with(": runs")) {
      ASSERT_TRUE(options) << LastLine(options.error().message);
      EXPECT_FALSE(options->early_exit);
      for (const std::string& warning : one.warnings)
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

// Golden cases for unit tests: text under tests/golden, blocks parted by empty lines. "#" names a case, ">" is its input, "~" a second kind
// of input or output where a file has one, "<" what must come out. A block without ">" is a remark.
#pragma once

#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nereid {

struct GoldenCase {
  std::string name;
  std::vector<std::string> input, notes, expected;
  std::vector<std::string> lines;  // as they stand in the file
};

inline std::vector<GoldenCase> ReadGolden(const std::string& path) {
  std::ifstream stream(path);
  EXPECT_TRUE(stream) << path;
  std::vector<GoldenCase> cases(1);
  for (std::string line; std::getline(stream, line);) {
    if (line.empty()) {
      cases.emplace_back();
      continue;
    }
    GoldenCase& one = cases.back();
    std::string rest = line.size() > 2 ? line.substr(2) : "";
    one.lines.push_back(line);
    if (line[0] == '#' && one.name.empty()) one.name = rest;
    if (line[0] == '>') one.input.push_back(rest);
    if (line[0] == '~') one.notes.push_back(rest);
    if (line[0] == '<') one.expected.push_back(rest);
  }
  return cases;
}

// Compares what `produce` answers to each case, line by line, with its "<" lines; with NEREID_UPDATE_GOLDEN set (`./check --update`) writes
// that into the file instead.
inline void RunGolden(const std::string& path, const std::function<std::string(const GoldenCase&)>& produce) {
  bool update = std::getenv("NEREID_UPDATE_GOLDEN") != nullptr;
  std::string file;
  int count = 0;
  for (const GoldenCase& one : ReadGolden(path)) {
    if (one.lines.empty()) continue;
    if (!file.empty()) file += '\n';
    for (const std::string& line : one.lines)
      if (one.input.empty() || line[0] != '<') file += line + "\n";
    if (one.input.empty()) continue;
    ++count;
    std::string got = produce(one), want;
    if (got.ends_with('\n')) got.pop_back();
    for (const std::string& line : one.expected) want += (want.empty() ? "" : "\n") + line;
    if (!update) EXPECT_EQ(got, want) << path << ": " << one.name;
    for (std::size_t at = 0; at <= got.size();) {
      std::size_t end = std::min(got.find('\n', at), got.size());
      file += "< " + got.substr(at, end - at) + "\n";
      at = end + 1;
    }
  }
  EXPECT_GT(count, 0) << path;
  if (update) std::ofstream(path) << file;
}

}  // namespace nereid

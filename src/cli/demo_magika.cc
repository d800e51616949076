#include "cli/demo_magika.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace nereid::cli {
namespace {

constexpr std::size_t kPart = 1024, kBlock = 4096;
constexpr int kNoByte = 256;

bool IsSpace(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

std::vector<int> MagikaFeatures(std::string_view content) {
  // White space is looked for in one block at either end only.
  std::string_view first = content.substr(0, kBlock);
  while (!first.empty() && IsSpace(first.front())) first.remove_prefix(1);
  std::string_view last = content.substr(content.size() - std::min(kBlock, content.size()));
  while (!last.empty() && IsSpace(last.back())) last.remove_suffix(1);
  std::vector<int> features(2 * kPart, kNoByte);
  first = first.substr(0, kPart);
  last = last.substr(last.size() - std::min(kPart, last.size()));
  for (std::size_t i = 0; i < first.size(); ++i) features[i] = static_cast<unsigned char>(first[i]);
  for (std::size_t i = 0; i < last.size(); ++i) features[2 * kPart - last.size() + i] = static_cast<unsigned char>(last[i]);
  return features;
}

int DemoMain(int argc, char** argv) {
  if (argc != 4 || std::string_view(argv[2]) != "magika") {
    fmt::print(stderr, "usage: nereid demo magika FILE\n  prints the body of POST /v2/models/magika/infer for FILE\n");
    return 2;
  }
  std::ifstream file(argv[3], std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  if (!file) {
    fmt::print(stderr, "nereid demo: cannot read {}\n", argv[3]);
    return 1;
  }
  fmt::print(
      R"({{"inputs":[{{"name":"bytes","datatype":"INT32","shape":[1,{}],"data":[{}]}}],"outputs":[{{"name":"target_label","parameters":{{"classification":1}}}}]}})"
      "\n",
      2 * kPart, fmt::join(MagikaFeatures(content.str()), ","));
  return 0;
}

}  // namespace nereid::cli

#include "backends/llama/utf8_filter.h"

#include <cstddef>
#include <cstdint>

namespace nereid::llama {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Shape { kWhole, kIncomplete, kIllFormed };
struct Character {
  Shape shape;
  std::size_t size;  // of the character, or of the ill-formed part to replace
};

// Unicode table 3-7: the second byte's range depends on the first one (no overlong forms, no surrogates, nothing past U+10FFFF).
Character ReadCharacter(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  std::uint8_t first = byte(0);
  if (first < 0x80) return {Shape::kWhole, 1};
  std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return {Shape::kIllFormed, 1};
  std::uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  std::uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < size; ++i) {
    if (i == text.size()) return {Shape::kIncomplete, i};
    if (byte(i) < low || byte(i) > high) return {Shape::kIllFormed, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Shape::kWhole, size};
}

}  // namespace

std::string Utf8Filter::Append(std::string_view bytes) {
  held_.append(bytes);
  std::string text;
  std::string_view rest = held_;
  while (!rest.empty()) {
    Character character = ReadCharacter(rest);
    if (character.shape == Shape::kIncomplete) break;
    text.append(character.shape == Shape::kWhole ? rest.substr(0, character.size) : kReplacement);
    rest.remove_prefix(character.size);
  }
  held_ = std::string(rest);
  return text;
}

std::string Utf8Filter::Finish() {
  if (held_.empty()) return {};
  held_.clear();
  return std::string(kReplacement);
}

}  // namespace nereid::llama

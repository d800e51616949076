#include "backends/llama/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace nereid::llama {
namespace {

// The longest end of `text` that is a beginning of `stop`, but not all of it.
std::size_t PartialMatch(std::string_view text, std::string_view stop) {
  std::size_t longest = std::min(text.size(), stop.size() - 1);
  for (std::size_t size = longest; size > 0; --size) {
    if (text.ends_with(stop.substr(0, size))) return size;
  }
  return 0;
}

// Where a stop string of valid UTF-8 begins is always the start of a character, so no character is cut here.
std::size_t FirstStop(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t first = std::string_view::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return first;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopMatcher::Append(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  held_.append(text);
  if (std::size_t at = FirstStop(held_, stops_); at != std::string::npos) {
    stopped_ = true;
    std::string shown = held_.substr(0, at);
    held_.clear();
    return shown;
  }
  std::size_t keep = 0;
  for (const std::string& stop : stops_) keep = std::max(keep, PartialMatch(held_, stop));
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopMatcher::Finish() {
  return std::exchange(held_, {});
}

}  // namespace nereid::llama

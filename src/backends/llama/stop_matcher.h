// Finds stop strings in a stream of text and keeps back what could still become one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nereid::llama {

class StopMatcher {
 public:
  // Empty stop strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // The text that can be shown. Once stopped() everything from the stop string on is gone and nothing is shown any more.
  std::string Append(std::string_view text);
  bool stopped() const { return stopped_; }
  // What was kept back, when nothing follows any more.
  std::string Finish();

 private:
  std::vector<std::string> stops_;  // set once
  std::string held_;                // shorter than the longest stop string
  bool stopped_ = false;
};

}  // namespace nereid::llama

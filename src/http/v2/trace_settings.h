// The trace settings that clients read and change: Triton's names, texts and inheritance. They are kept; this version records no traces,
// so that no level but OFF can be had.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace nereid::http {

class TraceSettings {
 public:
  // The settings as JSON. `model` empty: the global ones; else those of the model, which follow the global ones where it sets nothing.
  // Any thread.
  std::string Render(const std::string& model) const;

  // Applies a JSON document of new settings, all or none; null gives a setting back to the one above. Any thread.
  Result<Nothing> Apply(const std::string& model, std::string_view document);

 private:
  struct Values {
    std::optional<std::uint32_t> rate, log_frequency;
    std::optional<std::int64_t> count;
  };

  mutable std::mutex mutex_;
  Values global_;                                      // guarded by mutex_
  std::map<std::string, Values, std::less<>> models_;  // guarded by mutex_; names of models that exist: bounded by the repository
};

}  // namespace nereid::http

// Every flag once: its name, what its value may be, and where it goes.
#pragma once

#include <span>

#include "config/flags.h"

namespace nereid::config {

enum class FlagKind : std::uint8_t {
  kText,
  kInteger,  // as std::stoi reads it
  kBoolean,  // true, on, 1; false, off, 0; any case
  kSwitch,   // takes no value
  kLevel,    // a boolean or an integer
  kCustom,   // `apply` alone knows
};

// What the flags leave behind besides the configuration.
struct FlagState {
  ServeOptions& options;
  std::map<std::string, std::map<std::string, std::string>> caches;  // --cache-config
  std::string cache_directory = "/opt/tritonserver/caches";
};

struct Flag {
  std::string_view name;  // without the dashes
  FlagKind kind = FlagKind::kText;
  std::string_view path;  // of the configuration; empty: `apply`, or accepted with a warning
  std::string_view help;
  // Takes the value further than its kind and path do. An error's message is the whole line to print.
  Result<Nothing> (*apply)(FlagState& state, std::string_view value) = nullptr;
  bool ours = false;  // not one of Triton's
};

std::span<const Flag> Flags();

// The value in the form that SetPath takes ("on" becomes "true"); Triton's texts for what does not parse.
Result<std::string> NormalFlagValue(FlagKind kind, std::string_view value);

// After all flags: what needs several of them.
Result<Nothing> FinishFlags(FlagState& state);

}  // namespace nereid::config

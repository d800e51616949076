#include "config/flags.h"

#include <fstream>
#include <set>
#include <sstream>

#include "config/flag_table.h"
#include "config/set.h"
#include "config/text.h"

namespace nereid {
namespace {

using config::Flag;
using config::FlagKind;
using config::FlagState;

struct Given {
  const Flag* flag;
  std::string value;
};

std::string UsageText(bool triton) {
  std::string text = fmt::format("Usage: {} [options]\n", triton ? "tritonserver" : "nereid serve");
  for (const Flag& flag : config::Flags()) {
    std::string_view value = "";
    switch (flag.kind) {
      case FlagKind::kSwitch: break;
      case FlagKind::kInteger: value = " <integer>"; break;
      case FlagKind::kBoolean: value = " <boolean>"; break;
      case FlagKind::kLevel:
      case FlagKind::kText:
      case FlagKind::kCustom: value = " <value>"; break;
    }
    text += fmt::format("  --{}{}\n\t{}\n", flag.name, value, flag.help);
  }
  return text;
}

std::unexpected<Status> Usage(std::string line) {
  return Error(Code::kInvalidArgument, std::move(line), "usage");
}

// Triton parses with getopt_long, where an unambiguous beginning of a name will do.
Result<const Flag*> FindFlag(std::string_view name, std::string_view argument) {
  std::vector<std::string_view> names;
  const Flag* begins = nullptr;
  int count = 0;
  for (const Flag& flag : config::Flags()) {
    if (flag.name == name) return &flag;
    names.push_back(flag.name);
    if (!name.empty() && flag.name.starts_with(name)) {
      begins = &flag;
      ++count;
    }
  }
  if (count == 1) return begins;
  if (count > 1) return Usage(fmt::format("option '{}' is ambiguous: '--{}' is one of {}", argument, begins->name, count));
  std::string_view near = config::Nearest(name, names);
  return Usage(fmt::format("unrecognized option '{}'{}", argument, near.empty() ? "" : fmt::format(", did you mean '--{}'?", near)));
}

Result<std::vector<Given>> Split(const std::vector<std::string>& arguments) {
  std::vector<Given> given;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    if (!argument.starts_with('-') || argument == "-") return Usage(fmt::format("Unexpected argument: {}", argument));
    if (!argument.starts_with("--") || argument == "--") return Usage(fmt::format("unrecognized option '{}'", argument));
    std::size_t equals = argument.find('=');
    std::string_view spelled = argument.substr(0, equals);
    TRY(const Flag* flag, FindFlag(spelled.substr(2), spelled));
    Given one{flag, {}};
    if (flag->kind == FlagKind::kSwitch) {
      if (equals != std::string_view::npos) return Usage(fmt::format("option '--{}' doesn't allow an argument", flag->name));
    } else if (equals != std::string_view::npos) {
      one.value = argument.substr(equals + 1);
    } else if (++i < arguments.size()) {
      one.value = arguments[i];
    } else {
      return Usage(fmt::format("option '--{}' requires an argument", flag->name));
    }
    given.push_back(std::move(one));
  }
  return given;
}

Result<Config> ReadFile(const std::string& path, Config base) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(Code::kNotFound, fmt::format("error: cannot read the configuration file {}", path));
  std::ostringstream text;
  text << file.rdbuf();
  auto config = ParseConfig(text.str(), std::move(base), path);
  if (!config) return Error(Code::kInvalidArgument, "error: " + config.error().message);
  return config;
}

// Flags of a sequence replace what the file says and add to each other.
void ClearSequences(const std::vector<Given>& given, ModelsConfig& models) {
  for (const Given& one : given) {
    if (one.flag->path == "models.repositories") models.repositories.clear();
    if (one.flag->path == "models.load") models.load.clear();
  }
}

Result<Nothing> Apply(const Given& one, FlagState& state, std::set<std::string_view>& warned) {
  TRY(std::string value, config::NormalFlagValue(one.flag->kind, one.value));
  if (one.flag->apply) {
    auto applied = one.flag->apply(state, value);
    if (!applied && applied.error().reason == "bad_config")
      return Usage(fmt::format("invalid argument for --{}: {}", one.flag->name, applied.error().message));
    return applied;
  }
  if (!one.flag->path.empty()) {
    auto set = config::SetPath(state.options.config, one.flag->path, value);
    if (!set && one.flag->kind == FlagKind::kText) return Usage(fmt::format("Invalid option value. Got {}", value));
    if (!set) return Usage(fmt::format("invalid argument for --{}: {}", one.flag->name, set.error().message));
    return Nothing{};
  }
  if (one.flag->name == "print-config") state.options.print_config = true;
  else if (one.flag->name != "config" && warned.insert(one.flag->name).second)
    state.options.warnings.push_back(fmt::format("--{} is accepted and has no effect in this version", one.flag->name));
  return Nothing{};
}

Result<ServeOptions> Parse(const std::vector<std::string>& arguments, bool triton) {
  ServeOptions options;
  options.config.called_as_triton = triton;
  if (triton) {
    options.config.server.http.address = options.config.server.grpc.address = "0.0.0.0";
    options.config.server.auth.v2 = V2Auth::kOpen;
  }
  TRY(std::vector<Given> given, Split(arguments));
  for (const Given& one : given) {
    if (one.flag->name == "help") {
      options.early_exit = EarlyExit{UsageText(triton), triton ? 1 : 0};
      return options;
    }
  }
  for (const Given& one : given) {
    if (one.flag->name != "config") continue;
    TRY(options.config, ReadFile(one.value, std::move(options.config)));
  }
  ClearSequences(given, options.config.models);
  FlagState state{options, {}};
  std::set<std::string_view> warned;
  for (const Given& one : given) TRY_DO(Apply(one, state, warned));
  TRY_DO(CheckConfig(options.config));
  TRY_DO(config::FinishFlags(state));
  for (const std::string& path : WithoutEffect(options.config))
    options.warnings.push_back(path + " is accepted and has no effect in this version");
  return options;
}

}  // namespace

Result<ServeOptions> ParseFlags(const std::vector<std::string>& arguments, bool called_as_triton) {
  auto options = Parse(arguments, called_as_triton);
  if (options) return options;
  Status status = std::move(options).error();
  if (status.reason == "usage")
    status.message =
        called_as_triton ? UsageText(true) + status.message : fmt::format("error: {}\nsee nereid serve --help", status.message);
  else if (!status.message.starts_with("error: ")) status.message = "error: " + status.message;
  return std::unexpected(std::move(status));
}

Result<ServeOptions> ParseFlags(int argc, const char* const* argv, bool called_as_triton) {
  return ParseFlags(std::vector<std::string>(argv + std::min(argc, 1), argv + argc), called_as_triton);
}

}  // namespace nereid

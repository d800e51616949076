// argv -> subcommand. Called as tritonserver, the program is `serve` with Triton's defaults.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "cli/bench/bench.h"
#include "cli/demo_magika.h"
#include "cli/doctor.h"
#include "cli/ledger.h"
#include "config/flags.h"
#include "server/app.h"

namespace {

constexpr std::string_view kUsage =
    "usage: nereid COMMAND ...\n"
    "\n"
    "  serve       run the server (nereid serve --help: its flags, which are Triton's and a few more)\n"
    "  doctor      say what would keep the server from running, and what to do about it\n"
    "  bench       load a server and measure it\n"
    "  demo        example input for the demo models\n"
    "  ledger      verify the ledger, or rebuild the reports from it\n"
    "  --version   print the version\n";

int RunServe(int argc, char** argv, int skip, bool as_triton) {
  auto options = nereid::ParseFlags(std::vector<std::string>(argv + skip, argv + argc), as_triton);
  if (!options) {
    fmt::print(stderr, "{}\n", options.error().message);
    return 1;
  }
  if (options->early_exit) {
    fmt::print("{}", options->early_exit->text);
    return options->early_exit->code;
  }
  for (const std::string& warning : options->warnings) fmt::print(stderr, "Warning: {}\n", warning);
  if (options->print_config) {
    fmt::print("{}", nereid::PrintConfig(options->config));
    return 0;
  }
  return nereid::server::Serve(options->config);
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view program = argv[0];
  if (std::size_t slash = program.rfind('/'); slash != std::string_view::npos) program.remove_prefix(slash + 1);
  if (program == "tritonserver") return RunServe(argc, argv, 1, true);
  std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "serve") return RunServe(argc, argv, 2, false);
  if (command == "doctor") return nereid::cli::DoctorMain(argc, argv);
  if (command == "bench") return nereid::cli::BenchMain(argc, argv);
  if (command == "demo") return nereid::cli::DemoMain(argc, argv);
  if (command == "ledger") return nereid::LedgerMain(argc - 1, argv + 1);
  if (command == "--version") {
    fmt::print("nereid {}\n", NEREID_VERSION);
    return 0;
  }
  bool asked = command == "--help" || command == "help";
  fmt::print(asked ? stdout : stderr, "{}", kUsage);
  return asked ? 0 : 1;
}

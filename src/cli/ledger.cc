#include "cli/ledger.h"

#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/money.h"
#include "config/config.h"
#include "store/verify.h"

namespace nereid {
namespace {

void ShowProgress(std::uint64_t done, std::uint64_t all) {
  fmt::print(stderr, "{} of {} records\n", done, all);
}

int Fail(const Status& status) {
  fmt::print(stderr, "nereid ledger: {}{}{}\n", status.message, status.detail.empty() ? "" : ": ", status.detail);
  return 1;
}

int Verify(const std::string& folder) {
  Result<store::VerifyReport> report = store::VerifyLedger(folder, ShowProgress);
  if (!report) return Fail(report.error());
  fmt::print("{} records: {} reservations ({} open), {} settlements, {} seals, {} records not yet sealed\n", report->records,
             report->reserves, report->open, report->settlements, report->seals, report->unsealed);
  if (report->torn_end) fmt::print("the last store was cut by a crash; the next start erases it\n");
  if (report->problems.empty()) {
    fmt::print("the ledger is whole\n");
    return 0;
  }
  for (const std::string& problem : report->problems) fmt::print("bad: {}\n", problem);
  return 1;
}

std::string Text(const store::Totals& totals) {
  return fmt::format("{} rows, {} tokens, cost ${}, charge ${}", totals.rows, totals.tokens, FormatUsd(totals.cost, 9),
                     FormatUsd(totals.charge, 9));
}

int Rebuild(const std::string& folder) {
  Result<store::RebuildReport> report = store::RebuildProjection(folder, ShowProgress);
  if (!report) return Fail(report.error());
  fmt::print("before: {}\nafter:  {}\n", Text(report->before), Text(report->after));
  if (report->skipped > 0) fmt::print("{} damaged or missing records were left out; see `nereid ledger verify`\n", report->skipped);
  bool equal = report->before == report->after;
  fmt::print("{}\n", equal ? "the totals are equal" : "the totals differ: the projection was wrong and is now what the segments say");
  return report->skipped > 0 ? 1 : 0;
}

}  // namespace

int LedgerMain(int argc, char** argv) {
  CLI::App app("Checks the ledger and rebuilds its projection", "nereid ledger");
  std::string folder;
  auto* verify = app.add_subcommand("verify", "checksums, sequence, hash chain; exit 1 names the first bad record");
  auto* rebuild = app.add_subcommand("rebuild", "makes the SQL projection anew from the segments; no server may run");
  for (auto* command : {verify, rebuild}) command->add_option("--state-folder", folder, "the server's state folder");
  app.require_subcommand(1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  ServerConfig server;
  server.state_folder = folder;
  folder = StateFolder(server);
  return verify->parsed() ? Verify(folder) : Rebuild(folder);
}

}  // namespace nereid

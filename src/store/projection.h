// Brings the ledger's records into SQL, in order and exactly once, and knows which reservations are still open.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "store/segment_reader.h"
#include "store/sqlite.h"

namespace nereid::store {

struct Totals {
  std::int64_t rows = 0, tokens = 0, cost = 0, charge = 0;
  friend bool operator==(const Totals&, const Totals&) = default;
};

// One thread at a time.
class Projection {
 public:
  // `database` is migrated. Reads the watermark and, from the segments, the reservations that were open at it.
  static Result<Projection> Open(Database& database, const std::filesystem::path& ledger_folder);

  // Projects all records below `end`. A damaged or missing record is left out and counted. `progress` hears the watermark after each
  // transaction.
  Result<Nothing> CatchUp(std::uint64_t end, const std::function<void(std::uint64_t)>& progress = {});
  // Empties the projection; CatchUp fills it again.
  Result<Nothing> Clear();

  std::uint64_t projected() const { return projected_; }
  std::uint64_t skipped() const { return skipped_; }
  // Reservations without a settlement among what was projected, oldest first.
  Result<std::vector<Record>> OpenReservations();
  Result<Totals> Sum();

 private:
  Projection(Database& database, const std::filesystem::path& folder, Statement insert, Statement add_name, Statement find_name,
             Statement mark)
      : database_(&database),
        reader_(folder),
        insert_(std::move(insert)),
        add_name_(std::move(add_name)),
        find_name_(std::move(find_name)),
        mark_(std::move(mark)) {}
  Result<std::int64_t> NameNumber(std::string_view text);
  Result<Nothing> Insert(const Record& record);
  void Follow(const Record& record);  // keeps open_ right
  std::uint64_t OldestOpen() const;

  Database* database_;
  SegmentReader reader_;
  Statement insert_, add_name_, find_name_, mark_;
  std::unordered_map<std::string, std::int64_t> names_;  // bounded by kNamesKept
  std::map<RequestId, std::uint64_t> open_;              // reservation's sequence; bounded by the requests in flight
  std::uint64_t projected_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace nereid::store

#include "store/projection.h"

#include <algorithm>

namespace nereid::store {
namespace {

constexpr std::uint64_t kBatch = 20'000;  // records a transaction
constexpr std::size_t kNamesKept = 65'536;

constexpr std::string_view kReadMarks = "SELECT projected, oldest_open FROM projection";
constexpr std::string_view kMark = "UPDATE projection SET projected = ?, oldest_open = ?";
constexpr std::string_view kAddName = "INSERT OR IGNORE INTO names(text) VALUES (?)";
constexpr std::string_view kFindName = "SELECT number FROM names WHERE text = ?";
constexpr std::string_view kInsert =
    "INSERT OR REPLACE INTO ledger(sequence, kind, request_id, at, key, model, target, task, input, cache_read, cache_write, output, reasoning, "
    "cost, charge, held, latency_us, cost_price, charge_price, http_status, usage_source, flags) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
constexpr std::string_view kSum =
    "SELECT COUNT(*), COALESCE(SUM(input + cache_read + cache_write + output + reasoning), 0), COALESCE(SUM(cost), 0), COALESCE(SUM(charge), 0) "
    "FROM ledger";
constexpr char kClear[] = "DELETE FROM ledger; DELETE FROM names; UPDATE projection SET projected = 0, oldest_open = 0;";

}  // namespace

Result<Projection> Projection::Open(Database& database, const std::filesystem::path& ledger_folder) {
  TRY(Statement insert, Statement::Prepare(database, kInsert));
  TRY(Statement add_name, Statement::Prepare(database, kAddName));
  TRY(Statement find_name, Statement::Prepare(database, kFindName));
  TRY(Statement mark, Statement::Prepare(database, kMark));
  Projection projection(database, ledger_folder, std::move(insert), std::move(add_name), std::move(find_name), std::move(mark));

  TRY(Statement read, Statement::Prepare(database, kReadMarks));
  TRY_DO(read.Step());
  projection.projected_ = static_cast<std::uint64_t>(read.Int(0));
  auto oldest = static_cast<std::uint64_t>(read.Int(1));
  TRY(std::uint64_t end, projection.reader_.End());
  if (projection.projected_ > end) {
    // The segments were replaced by older ones: what the tables hold has no source any more.
    read.Reset();
    TRY_DO(projection.Clear());
    return projection;
  }
  Record record;
  for (std::uint64_t at = oldest; at < projection.projected_; ++at) {
    Result<SlotState> state = projection.reader_.Read(at, record);
    if (state && *state == SlotState::kValid) projection.Follow(record);
  }
  return projection;
}

void Projection::Follow(const Record& record) {
  if (record.kind == kReserveRecord) open_[IdOf(record)] = record.sequence;
  if (record.kind == kSettleRecord) open_.erase(IdOf(record));
}

std::uint64_t Projection::OldestOpen() const {
  std::uint64_t oldest = projected_;
  for (const auto& [id, sequence] : open_) oldest = std::min(oldest, sequence);
  return oldest;
}

Result<std::int64_t> Projection::NameNumber(std::string_view text) {
  std::string key(text);
  if (auto known = names_.find(key); known != names_.end()) return known->second;
  TRY_DO(add_name_.BindText(1, text).Run());
  TRY(bool found, find_name_.BindText(1, text).Step());
  NEREID_CHECK(found);
  std::int64_t number = find_name_.Int(0);
  find_name_.Reset();
  if (names_.size() >= kNamesKept) names_.clear();
  names_.emplace(std::move(key), number);
  return number;
}

Result<Nothing> Projection::Insert(const Record& record) {
  TRY(std::int64_t model, NameNumber(PublicModel(record)));
  TRY(std::int64_t target, NameNumber(TargetName(record)));
  TRY(std::int64_t task, NameNumber(TaskName(record)));
  int at = 0;
  auto put = [&](std::int64_t value) { insert_.Bind(++at, value); };
  put(static_cast<std::int64_t>(record.sequence));
  put(record.kind);
  insert_.BindBlob(++at, {reinterpret_cast<const char*>(record.request_id.data()), record.request_id.size()});
  put(record.at_ns / 1000);
  for (std::int64_t value : {record.key, model, target, task, record.input, record.cache_read, record.cache_write, record.output,
                             record.reasoning, record.cost, record.charge, record.held, record.latency_ns / 1000}) {
    put(value);
  }
  put(record.cost_price_version);
  put(record.charge_price_version);
  put(record.http_status);
  put(record.usage_source);
  put(record.flags);
  return insert_.Run();
}

Result<Nothing> Projection::CatchUp(std::uint64_t end, const std::function<void(std::uint64_t)>& progress) {
  if (projected_ >= end) return Nothing{};
  TRY(std::uint64_t begin, reader_.Begin());
  while (projected_ < end) {
    // Kept aside until the transaction is through: a batch that fails is projected again.
    std::uint64_t first = std::max(projected_, begin), last = std::min(end, first + kBatch);
    auto open_before = open_;
    auto marked_before = projected_;
    Result<Nothing> done = [&]() -> Result<Nothing> {
      TRY(Transaction transaction, Transaction::Begin(*database_));
      Record record;
      for (std::uint64_t at = first; at < last; ++at) {
        Result<SlotState> state = reader_.Read(at, record);
        if (!state && state.error().code != Code::kNotFound) return std::unexpected(std::move(state).error());
        if (!state || *state != SlotState::kValid) {
          ++skipped_;
          continue;
        }
        Follow(record);
        if (record.kind == kSettleRecord || record.kind == kAdjustRecord) TRY_DO(Insert(record));
      }
      projected_ = last;
      TRY_DO(mark_.Bind(1, static_cast<std::int64_t>(last)).Bind(2, static_cast<std::int64_t>(OldestOpen())).Run());
      return transaction.Commit();
    }();
    if (!done) {
      open_ = std::move(open_before);
      projected_ = marked_before;
      names_.clear();  // some of them were rolled back
      return done;
    }
    if (progress) progress(projected_);
  }
  return Nothing{};
}

Result<Nothing> Projection::Clear() {
  TRY(Transaction transaction, Transaction::Begin(*database_));
  TRY_DO(database_->Execute(kClear));
  TRY_DO(transaction.Commit());
  names_.clear();
  open_.clear();
  projected_ = 0;
  return Nothing{};
}

Result<std::vector<Record>> Projection::OpenReservations() {
  std::vector<std::uint64_t> sequences;
  for (const auto& [id, sequence] : open_) sequences.push_back(sequence);
  std::sort(sequences.begin(), sequences.end());
  std::vector<Record> records;
  Record record;
  for (std::uint64_t sequence : sequences) {
    TRY(SlotState state, reader_.Read(sequence, record));
    if (state == SlotState::kValid) records.push_back(record);
  }
  return records;
}

Result<Totals> Projection::Sum() {
  TRY(Statement sum, Statement::Prepare(*database_, kSum));
  TRY_DO(sum.Step());
  return Totals{sum.Int(0), sum.Int(1), sum.Int(2), sum.Int(3)};
}

}  // namespace nereid::store

#include "store/store.h"

#include <boost/asio/this_coro.hpp>

#include <fmt/format.h>

#include "base/log.h"
#include "store/key_rows.h"
#include "store/schema.h"
#include "store/usage_query.h"

namespace nereid::store {
namespace {

constexpr Millis kSyncPeriod{50};
constexpr Millis kProjectPeriod{250};
// Requests go before reports. A quarter of a core remains even when all are taken, which is more than the projection needs.
constexpr int kProjectionNice = 5;
constexpr Millis kComplainPeriod{10'000};
constexpr Millis kSqlTimeout{10'000};
constexpr std::uint64_t kSegmentBytesMin = 1 << 20;

// Runs `work` on `worker` and brings its result back to the io thread that waits.
template <class T>
net::Task<T> On(Worker& worker, std::function<Result<T>()> work) {
  net::Executor home = co_await net::asio::this_coro::executor;
  net::OneShot<T> result(home);
  if (!worker.Post([work = std::move(work), done = result.completer()] { done(work()); })) {
    co_return Error(Code::kUnavailable, "the store is busy", "store_busy");
  }
  co_return co_await result.Wait(Deadline::After(SystemClock().Steady(), kSqlTimeout));
}

void Complain(std::string_view what, const Status& status, SteadyTime now, SteadyTime& last) {
  if (last != SteadyTime{} && now - last < kComplainPeriod) return;
  last = now;
  LOG_ERROR("{}: {} {}", what, status.message, status.detail);
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(StoreOptions options) {
  if (!options.config.url.empty() && !options.config.url.starts_with("sqlite:")) {
    return Error(Code::kUnsupported, fmt::format("store.url '{}': only the embedded store is offered; leave it empty", options.config.url),
                 "store_url");
  }
  options.config.segment_bytes = std::max(options.config.segment_bytes, kSegmentBytesMin);
  TRY(StateLock lock, StateLock::Acquire(options.state_folder));
  std::unique_ptr<Store> store(new Store(std::move(options), std::move(lock)));
  TRY_DO(store->Start());
  return store;
}

Result<Nothing> Store::Start() {
  const auto& folder = options_.state_folder;
  TRY(Database writer, Database::Open(DatabaseFile(folder)));
  write_database_ = std::make_unique<Database>(std::move(writer));
  TRY_DO(Migrate(*write_database_));
  TRY(Database reader, Database::Open(DatabaseFile(folder)));
  read_database_ = std::make_unique<Database>(std::move(reader));
  TRY(log_, LedgerLog::Open(LedgerFolder(folder), options_.config.segment_bytes));
  TRY(Projection projection, Projection::Open(*write_database_, LedgerFolder(folder)));
  projection_ = std::make_unique<Projection>(std::move(projection));
  TRY_DO(projection_->CatchUp(log_->next()));
  if (projection_->skipped() > 0) {
    LOG_ERROR("ledger: {} damaged or missing records were left out of the reports; run `nereid ledger verify`", projection_->skipped());
  }
  TRY_DO(SettleAbandoned());
  TRY_DO(projection_->CatchUp(log_->next()));
  TRY_DO(log_->PrepareAhead());
  sync_worker_ = std::make_unique<Worker>("store-w", 0, kSyncPeriod, [this] { SyncTick(); });
  project_worker_ = std::make_unique<Worker>("store-p", kProjectionNice, kProjectPeriod, [this] { ProjectTick(); });
  read_worker_ = std::make_unique<Worker>("store-r", 0, Millis(0), nullptr);
  return Nothing{};
}

Result<Nothing> Store::SettleAbandoned() {
  TRY(std::vector<Record> open, projection_->OpenReservations());
  for (Record& record : open) {
    record.kind = kSettleRecord;
    record.charge = record.held;
    record.usage_source = static_cast<std::uint8_t>(UsageSource::kEstimate);
    record.flags |= kFailed | kRecovered;
    record.at_ns = std::chrono::duration_cast<Nanos>(options_.clock.Wall().time_since_epoch()).count();
    TRY_DO(log_->Append(record));
  }
  if (!open.empty()) LOG_WARNING("ledger: {} requests that an earlier process left open were settled as estimates", open.size());
  return Nothing{};
}

Store::~Store() {
  // In this order: a last sync ends the waiters, and what was appended until then is projected.
  if (sync_worker_) {
    sync_worker_->Stop();
    (void)log_->SealGroup();
    (void)log_->Sync();
  }
  if (project_worker_) project_worker_->Stop();
  if (read_worker_) read_worker_->Stop();
}

Result<std::uint64_t> Store::Append(const LedgerEntry& entry) {
  return log_->Append(EncodeEntry(entry));
}

net::Task<Nothing> Store::Synced(std::uint64_t offset) {
  if (options_.config.durability == Durability::kRelaxed || log_->synced() > offset) co_return Nothing{};
  net::Executor home = co_await net::asio::this_coro::executor;
  net::OneShot<Nothing> synced(home);
  {
    std::lock_guard lock(mutex_);
    waiters_.push_back({offset, synced.completer()});
  }
  sync_worker_->Wake();
  co_return co_await synced.Wait();
}

void Store::SyncTick() {
  Result<Nothing> done = Nothing{};
  // Not with every group commit of the strict mode: a seal takes a record.
  if (SteadyTime now = options_.clock.Steady(); now - sealed_at_ >= kSyncPeriod) {
    sealed_at_ = now;
    done = log_->SealGroup();
    if (!done) Complain("ledger: the chain was not continued", done.error(), now, complained_);
  }
  done = log_->Sync();
  if (!done) Complain("ledger: not synced", done.error(), options_.clock.Steady(), complained_);

  std::vector<SyncWaiter> ready;
  {
    std::lock_guard lock(mutex_);
    auto waiting = std::partition(waiters_.begin(), waiters_.end(),
                                  [&](const SyncWaiter& waiter) { return done && waiter.sequence >= log_->synced(); });
    ready.assign(std::make_move_iterator(waiting), std::make_move_iterator(waiters_.end()));
    waiters_.erase(waiting, waiters_.end());
  }
  for (SyncWaiter& waiter : ready) waiter.done(done);

  // After the sync, which takes the right to write from the pages that it cleans.
  done = log_->PrepareAhead();
  if (!done) Complain("ledger: no room ahead", done.error(), options_.clock.Steady(), complained_);
}

void Store::ProjectTick() {
  Result<Nothing> done = projection_->CatchUp(log_->next());
  if (!done) Complain("projection: behind", done.error(), options_.clock.Steady(), projection_complained_);
}

Result<std::vector<StoredKey>> Store::LoadKeys() {
  return ReadKeys(*read_database_);
}

Result<std::int64_t> Store::InsertKeyAtStart(StoredKey key) {
  // The projection's thread owns the connection by now, so the work goes there and is waited for.
  std::mutex mutex;
  std::condition_variable ended;
  std::optional<Result<std::int64_t>> result;
  bool posted = project_worker_->Post([&] {
    Result<std::int64_t> number = InsertKeyRow(*write_database_, key);
    std::lock_guard lock(mutex);
    result = std::move(number);
    ended.notify_one();
  });
  if (!posted) return Error(Code::kUnavailable, "the store is busy", "store_busy");
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return result.has_value(); });
  return *std::move(result);
}

net::Task<std::int64_t> Store::InsertKey(StoredKey key) {
  return On<std::int64_t>(*project_worker_, [this, key = std::move(key)] { return InsertKeyRow(*write_database_, key); });
}

net::Task<Nothing> Store::RevokeKey(std::string id, WallTime at) {
  return On<Nothing>(*project_worker_, [this, id = std::move(id), at] { return RevokeKeyRow(*write_database_, id, at); });
}

net::Task<UsageReport> Store::Usage(UsageFilter filter) {
  std::uint64_t end = log_->next();
  CO_TRY_DO(co_await On<Nothing>(*project_worker_, [this, end] { return projection_->CatchUp(end); }));
  co_return co_await On<UsageReport>(
      *read_worker_, [this, filter = std::move(filter), now = options_.clock.Wall()] { return QueryUsage(*read_database_, filter, now); });
}

}  // namespace nereid::store

#include "accounts/accounts_impl.h"

#include <algorithm>

#include <fmt/format.h>

#include "accounts/admin_key_file.h"
#include "accounts/key_text.h"
#include "accounts/money.h"
#include "accounts/scopes.h"
#include "base/log.h"
#include "net/spawn.h"

namespace nereid::accounts {
namespace {

constexpr std::size_t kNameBytesMax = 200;
constexpr std::size_t kKeysMax = 100'000;
constexpr Millis kChangePoll{1}, kChangeWait{5'000};

std::unexpected<Status> UnknownKey() {
  return Error(Code::kNotFound, "There is no such key", "key_not_found");
}

std::string HashText(std::string_view whole) {
  Sha256Digest digest = HashKey(whole);
  return std::string(reinterpret_cast<const char*>(digest.data()), digest.size());
}

StoredKey BootstrapKey(const std::string& text, WallTime now) {
  StoredKey key;
  key.record = {KeyId(ParseKey(text)->name), "bootstrap", {"admin"}, now, std::nullopt};
  key.secret_sha256 = HashText(text);
  key.bootstrap = true;
  return key;
}

Result<Nothing> CheckName(std::string_view name) {
  auto bad = [](std::string message) { return Error(Code::kInvalidArgument, std::move(message), "invalid_name"); };
  if (name.empty()) return bad("name: must not be empty");
  if (name.size() > kNameBytesMax) return bad(fmt::format("name: must be at most {} bytes", kNameBytesMax));
  if (std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return bad("name: must not have control characters");
  }
  return Nothing{};
}

WallTime WholeMicros(WallTime at) {
  return std::chrono::time_point_cast<WallTime::duration>(std::chrono::floor<Micros>(at));
}

}  // namespace

Result<std::unique_ptr<AccountsImpl>> AccountsImpl::Create(Ledger& ledger, KeyStore& store, net::IoThreads& threads,
                                                           const std::filesystem::path& state_folder, const Clock& clock) {
  TRY(std::vector<StoredKey> keys, store.LoadKeys());
  TRY_DO(EnsureAdminKey(store, keys, state_folder, WholeMicros(clock.Wall())));
  return std::unique_ptr<AccountsImpl>(new AccountsImpl(ledger, store, threads, clock, std::move(keys)));
}

AccountsImpl::AccountsImpl(Ledger& ledger, KeyStore& store, net::IoThreads& threads, const Clock& clock, std::vector<StoredKey> keys)
    : ledger_(ledger),
      store_(store),
      clock_(clock),
      published_(std::make_shared<const KeyTable>(keys)),
      per_thread_(threads, published_.Get()),
      keys_(std::move(keys)) {}

Result<Nothing> AccountsImpl::EnsureAdminKey(KeyStore& store, std::vector<StoredKey>& keys, const std::filesystem::path& state_folder,
                                             WallTime now) {
  std::optional<std::string> text = ReadAdminKey(state_folder);
  if (!text) {
    // The file comes first: after a crash in between, the next start finds it and takes its key.
    text = NewKey();
    TRY_DO(WriteAdminKey(state_folder, *text));
    LOG_INFO("a new admin key is in {}", (state_folder / "admin.key").string());
  }
  bool known = false;
  for (StoredKey& key : keys) {
    if (!key.bootstrap) continue;
    bool in_file = key.secret_sha256 == HashText(*text);
    known = known || in_file;
    if (!in_file) key.revoked_at = now;  // whoever replaces the file replaces the key
  }
  if (known) return Nothing{};
  StoredKey key = BootstrapKey(*text, now);
  TRY(key.number, store.InsertKeyAtStart(key));
  keys.push_back(std::move(key));
  return Nothing{};
}

Result<Principal> AccountsImpl::Authenticate(std::optional<std::string_view> authorization) const {
  WallTime now = clock_.Wall();
  if (net::IoThreads::CurrentIndex() < 0) return published_.Get()->Authenticate(authorization, now);
  return per_thread_.Get().Authenticate(authorization, now);
}

Result<Reservation> AccountsImpl::Reserve(const ReserveInput& input) {
  LedgerEntry entry;
  entry.kind = LedgerKind::kReserve;
  entry.request_id = input.request.request_id;
  entry.at = clock_.Wall();
  entry.key = input.request.principal.key;
  entry.public_model = input.public_model;
  entry.target = input.target;
  entry.task = input.request.task;
  entry.usage = UsageBound(input.request);
  entry.usage_source = UsageSource::kEstimate;
  Amount held = AmountOf(entry.usage, input.charge), cost = AmountOf(entry.usage, input.dearest_cost);
  entry.held = held.value;
  entry.cost = cost.value;
  entry.charge_unpriced = held.unpriced;
  entry.cost_unpriced = cost.unpriced;
  entry.charge_price_version = input.charge.version;
  entry.cost_price_version = input.dearest_cost.version;
  TRY(std::uint64_t offset, ledger_.Append(entry));
  return Reservation{entry.request_id, held.value, offset, entry.key, input.request.task};
}

net::Task<Nothing> AccountsImpl::Settle(const Reservation& reservation, const Settlement& settlement) {
  LedgerEntry entry;
  entry.kind = LedgerKind::kSettle;
  entry.request_id = reservation.request_id;
  entry.at = clock_.Wall();
  entry.key = reservation.key;
  entry.public_model = settlement.public_model;
  entry.target = settlement.target;
  entry.task = reservation.task;
  entry.usage = settlement.outcome.usage;
  entry.usage_source = settlement.outcome.usage_source;
  entry.held = reservation.held;
  entry.failed = settlement.outcome.failure.has_value() || settlement.http_status >= 400;
  Amount cost = AmountOf(entry.usage, settlement.cost_price), charge = AmountOf(entry.usage, settlement.charge_price);
  entry.cost = cost.value;
  entry.cost_unpriced = cost.unpriced;
  // The charge is for what was delivered: of a stream that was cut the client has a part, of an error answer nothing.
  bool nothing_delivered = settlement.http_status >= 400 || (settlement.outcome.failure && settlement.http_status == 0);
  entry.charge = nothing_delivered ? 0 : charge.value;
  entry.charge_unpriced = charge.unpriced;
  entry.cost_price_version = settlement.cost_price.version;
  entry.charge_price_version = settlement.charge_price.version;
  entry.latency = settlement.latency;
  entry.http_status = static_cast<std::uint16_t>(std::clamp(settlement.http_status, 0, 999));
  Result<std::uint64_t> offset = ledger_.Append(entry);
  if (!offset) {
    // Its reservation stays open, so the next start settles it as an estimate: nothing goes unbilled.
    LOG_ERROR("settlement of {} was not written: {}", entry.request_id.ToString(), offset.error().message);
    return [](Status status) -> net::Task<Nothing> { co_return std::unexpected(std::move(status)); }(std::move(offset).error());
  }
  return ledger_.Synced(*offset);
}

bool AccountsImpl::Active(const StoredKey& key) const {
  return !key.revoked_at && !(key.record.expires_at && clock_.Wall() >= *key.record.expires_at);
}

net::Task<CreatedKey> AccountsImpl::Create(const Principal& creator, KeySpec spec) {
  CO_TRY_DO(CheckName(spec.name));
  CO_TRY(Rights rights, ParseScopes(spec.scopes));
  CO_TRY_DO(CheckGrant(creator, rights));
  if (spec.expires_at && *spec.expires_at <= clock_.Wall()) {
    co_return Error(Code::kInvalidArgument, "expires_at: must be in the future", "invalid_expires_at");
  }
  // From here to its end: a key that is in the store must also be in the snapshots.
  co_return co_await net::Shielded(CreateAlone(std::move(spec)));
}

net::Task<CreatedKey> AccountsImpl::CreateAlone(KeySpec spec) {
  CO_TRY_DO(co_await Enter());
  CreatedKey created;
  created.secret = NewKey();
  created.record = {KeyId(ParseKey(created.secret)->name), std::move(spec.name), std::move(spec.scopes), WholeMicros(clock_.Wall()),
                    spec.expires_at};
  StoredKey stored;
  stored.record = created.record;
  stored.secret_sha256 = HashText(created.secret);
  std::size_t count;
  {
    std::lock_guard lock(mutex_);
    count = keys_.size();
  }
  Result<std::int64_t> number = Error(Code::kUnavailable, fmt::format("There are {} keys already", kKeysMax), "too_many_keys");
  if (count < kKeysMax) number = co_await store_.InsertKey(stored);
  Result<Nothing> done = Nothing{};
  if (number) {
    stored.number = *number;
    {
      std::lock_guard lock(mutex_);
      keys_.push_back(std::move(stored));
    }
    done = co_await PublishKeys();
  } else {
    done = std::unexpected(std::move(number).error());
  }
  Leave();
  CO_TRY_DO(std::move(done));
  co_return created;
}

net::Task<std::vector<KeyRecord>> AccountsImpl::List() {
  std::vector<KeyRecord> records;
  std::lock_guard lock(mutex_);
  for (const StoredKey& key : keys_) {
    if (!key.bootstrap && Active(key)) records.push_back(key.record);
  }
  co_return records;
}

net::Task<KeyRecord> AccountsImpl::Get(std::string id) {
  std::lock_guard lock(mutex_);
  for (const StoredKey& key : keys_) {
    if (key.record.id == id && !key.bootstrap && !key.revoked_at) co_return key.record;
  }
  co_return UnknownKey();
}

net::Task<Nothing> AccountsImpl::Delete(std::string id) {
  return net::Shielded(DeleteAlone(std::move(id)));
}

net::Task<Nothing> AccountsImpl::DeleteAlone(std::string id) {
  CO_TRY_DO(co_await Enter());
  WallTime now = WholeMicros(clock_.Wall());
  Result<Nothing> done = UnknownKey();
  {
    std::lock_guard lock(mutex_);
    for (const StoredKey& key : keys_) {
      if (key.record.id != id || key.revoked_at) continue;
      done = Nothing{};
      // The admin key of the state folder is what remains when all others are gone, so an admin key always remains.
      if (key.bootstrap)
        done = Error(Code::kConflict, "The server's own admin key is the last one and cannot be deleted", "last_admin_key");
    }
  }
  if (done) done = co_await store_.RevokeKey(id, now);
  if (done) {
    {
      std::lock_guard lock(mutex_);
      for (StoredKey& key : keys_) {
        if (key.record.id == id) key.revoked_at = now;
      }
    }
    done = co_await PublishKeys();
  }
  Leave();
  co_return done;
}

net::Task<Nothing> AccountsImpl::Enter() {
  SteadyTime until = SystemClock().Steady() + kChangeWait;
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (!changing_) {
        changing_ = true;
        co_return Nothing{};
      }
    }
    SteadyTime now = SystemClock().Steady();
    if (now >= until) co_return Error(Code::kUnavailable, "Other changes of keys are under way", "keys_busy");
    CO_TRY_DO(co_await net::SleepUntil(now + kChangePoll));
  }
}

void AccountsImpl::Leave() {
  std::lock_guard lock(mutex_);
  changing_ = false;
}

net::Task<Nothing> AccountsImpl::PublishKeys() {
  std::shared_ptr<const KeyTable> table;
  {
    std::lock_guard lock(mutex_);
    table = std::make_shared<const KeyTable>(keys_);
  }
  published_.Set(table);
  co_return co_await per_thread_.Publish(table);
}

}  // namespace nereid::accounts

#include "store/record.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "store/crc32c.h"

namespace nereid::store {
namespace {

constexpr std::size_t kHeadBytes = 8;                // check, magic, format, kind
constexpr std::size_t kTextLimits[] = {48, 40, 24};  // when all together do not fit
static_assert(kTextLimits[0] + kTextLimits[1] + kTextLimits[2] == sizeof(Record::texts));

std::string Cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  Sha256Digest hash = Sha256(text);
  return fmt::format("{}~{:02x}{:02x}{:02x}{:02x}", text.substr(0, limit - 9), hash[0], hash[1], hash[2], hash[3]);
}

std::uint8_t PutText(Record& record, std::size_t& at, std::string_view text) {
  if (!text.empty()) std::memcpy(record.texts.data() + at, text.data(), text.size());
  at += text.size();
  return static_cast<std::uint8_t>(text.size());
}

void PutTexts(Record& record, std::string_view model, std::string_view target, std::string_view task) {
  std::string cut[3];
  if (model.size() + target.size() + task.size() > sizeof(record.texts)) {
    model = cut[0] = Cut(model, kTextLimits[0]);
    target = cut[1] = Cut(target, kTextLimits[1]);
    task = cut[2] = Cut(task, kTextLimits[2]);
  }
  std::size_t at = 0;
  record.model_size = PutText(record, at, model);
  record.target_size = PutText(record, at, target);
  record.task_size = PutText(record, at, task);
}

Record Blank(std::uint8_t kind) {
  Record record;
  std::memset(&record, 0, sizeof(record));
  record.magic = kMagic;
  record.format = kFormat;
  record.kind = kind;
  return record;
}

std::uint32_t CheckOf(const Record& record) {
  return Crc32c(reinterpret_cast<const char*>(&record) + sizeof(record.check), kRecordBytes - sizeof(record.check));
}

std::int64_t UnixNanos(WallTime at) {
  return std::chrono::duration_cast<Nanos>(at.time_since_epoch()).count();
}

}  // namespace

Record EncodeEntry(const LedgerEntry& entry) {
  Record record = Blank(static_cast<std::uint8_t>(entry.kind));
  record.request_id = entry.request_id.bytes;
  record.at_ns = UnixNanos(entry.at);
  record.key = entry.key;
  record.input = entry.usage.input;
  record.cache_read = entry.usage.cache_read;
  record.cache_write = entry.usage.cache_write;
  record.output = entry.usage.output;
  record.reasoning = entry.usage.reasoning;
  record.cost = entry.cost;
  record.charge = entry.charge;
  record.held = entry.held;
  record.latency_ns = entry.latency.count();
  record.cost_price_version = entry.cost_price_version;
  record.charge_price_version = entry.charge_price_version;
  record.http_status = entry.http_status;
  record.usage_source = static_cast<std::uint8_t>(entry.usage_source);
  record.flags = static_cast<std::uint8_t>((entry.cost_unpriced ? kCostUnpriced : 0) | (entry.charge_unpriced ? kChargeUnpriced : 0) |
                                           (entry.failed ? kFailed : 0));
  PutTexts(record, entry.public_model, entry.target, entry.task);
  return record;
}

Record EncodeSeal(const Seal& seal) {
  Record record = Blank(kSealRecord);
  record.input = static_cast<std::int64_t>(seal.first);
  record.output = static_cast<std::int64_t>(seal.last);
  std::memcpy(record.texts.data(), seal.previous.data(), seal.previous.size());
  std::memcpy(record.texts.data() + seal.previous.size(), seal.hash.data(), seal.hash.size());
  return record;
}

Record EncodeEpoch() {
  return Blank(kEpochRecord);
}

void Stamp(Record& record, std::uint64_t sequence, std::uint64_t epoch) {
  record.sequence = sequence;
  record.epoch = epoch;
  record.check = CheckOf(record);
}

SlotState Inspect(const void* bytes, std::uint64_t sequence, Record& out) {
  static constexpr char kZeros[kRecordBytes] = {};
  if (std::memcmp(bytes, kZeros, kHeadBytes) == 0) {
    return std::memcmp(bytes, kZeros, kRecordBytes) == 0 ? SlotState::kEmpty : SlotState::kTorn;
  }
  std::memcpy(&out, bytes, kRecordBytes);
  bool whole = out.magic == kMagic && out.format == kFormat && out.check == CheckOf(out) && out.sequence == sequence &&
               std::size_t{out.model_size} + out.target_size + out.task_size <= sizeof(out.texts);
  return whole ? SlotState::kValid : SlotState::kDamaged;
}

std::string_view PublicModel(const Record& record) {
  return {record.texts.data(), record.model_size};
}
std::string_view TargetName(const Record& record) {
  return {record.texts.data() + record.model_size, record.target_size};
}
std::string_view TaskName(const Record& record) {
  return {record.texts.data() + record.model_size + record.target_size, record.task_size};
}

Seal SealOf(const Record& record) {
  Seal seal;
  seal.first = static_cast<std::uint64_t>(record.input);
  seal.last = static_cast<std::uint64_t>(record.output);
  std::memcpy(seal.previous.data(), record.texts.data(), seal.previous.size());
  std::memcpy(seal.hash.data(), record.texts.data() + seal.previous.size(), seal.hash.size());
  return seal;
}

}  // namespace nereid::store

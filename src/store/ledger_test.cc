// The ledger's segments: what survives a crash, what is found out, what happens when there is no room.
#include <gtest/gtest.h>

#include <fstream>

#include "store/ledger_log.h"
#include "store/state_folder.h"
#include "store/test_folder.h"
#include "store/verify.h"

namespace nereid::store {
namespace {

constexpr std::uint64_t kSlots = 64;

class Ledger : public ::testing::Test {
 protected:
  void Open() {
    log_.reset();
    auto log = LedgerLog::Open(LedgerFolder(folder_.path()), kSlots * kRecordBytes);
    ASSERT_TRUE(log) << log.error().message;
    log_ = *std::move(log);
  }
  static Record Reserve(int id) { return Entry(LedgerKind::kReserve, id); }
  static Record Settle(int id) { return Entry(LedgerKind::kSettle, id); }
  static Record Entry(LedgerKind kind, int id) {
    LedgerEntry entry;
    entry.kind = kind;
    entry.request_id.bytes[15] = static_cast<std::uint8_t>(id);
    entry.request_id.bytes[14] = static_cast<std::uint8_t>(id >> 8);
    entry.public_model = "gpt-4.1";
    return EncodeEntry(entry);
  }
  void AppendPairs(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(log_->Append(Reserve(next_id_)));
      ASSERT_TRUE(log_->Append(Settle(next_id_++)));
    }
  }
  void FlipByte(std::uint64_t sequence, std::uint64_t byte) {
    auto files = SegmentFiles(LedgerFolder(folder_.path()));
    std::fstream file((*files)[sequence / kSlots], std::ios::in | std::ios::out | std::ios::binary);
    auto at = static_cast<std::streamoff>(sequence % kSlots * kRecordBytes + byte);
    file.seekg(at);
    char value = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(value ^ 0x10));
  }
  VerifyReport Verify() {
    auto report = VerifyLedger(folder_.path(), {});
    EXPECT_TRUE(report) << report.error().message;
    return *report;
  }

  TestFolder folder_{"ledger"};
  std::unique_ptr<LedgerLog> log_;
  int next_id_ = 0;
};

TEST_F(Ledger, KeepsRecordsOverReopeningAndSegments) {
  Open();
  AppendPairs(100);
  ASSERT_TRUE(log_->SealGroup());
  std::uint64_t end = log_->next();
  Open();
  EXPECT_EQ(log_->next(), end + 1);  // the new epoch's record
  EXPECT_EQ(log_->epoch(), 2u);
  AppendPairs(5);
  VerifyReport report = Verify();
  EXPECT_TRUE(report.problems.empty()) << report.problems[0];
  EXPECT_EQ(report.settlements, 105u);
}

TEST_F(Ledger, VerifyNamesARecordWithAChangedByte) {
  Open();
  AppendPairs(100);
  ASSERT_TRUE(log_->SealGroup());
  for (std::uint64_t byte : {0, 5, 9, 100, 255}) {
    FlipByte(70, byte);
    VerifyReport report = Verify();
    ASSERT_FALSE(report.problems.empty()) << byte;
    EXPECT_TRUE(report.problems[0].starts_with("record 70:")) << report.problems[0];
    FlipByte(70, byte);
  }
  FlipByte(log_->next() - 1, 200);
  EXPECT_FALSE(Verify().problems.empty()) << "the very last record";
  FlipByte(log_->next() - 1, 200);
  FlipByte(log_->next() + 3, 200);
  EXPECT_FALSE(Verify().problems.empty()) << "a place that was never written";
}

TEST_F(Ledger, TheChainFindsARecordThatWasReplacedWithARightChecksum) {
  Open();
  AppendPairs(10);
  ASSERT_TRUE(log_->SealGroup());
  auto files = SegmentFiles(LedgerFolder(folder_.path()));
  auto segment = Segment::Open(files->front(), true);
  Record record;
  ASSERT_EQ((*segment)->Read(4, record), SlotState::kValid);
  record.charge = 1;
  Stamp(record, 4, record.epoch);
  (*segment)->Store(record);
  VerifyReport report = Verify();
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_NE(report.problems[0].find("hash"), std::string::npos);
}

TEST_F(Ledger, ATornLastStoreIsErasedAtTheNextStart) {
  Open();
  AppendPairs(3);
  std::uint64_t end = log_->next();
  auto files = SegmentFiles(LedgerFolder(folder_.path()));
  auto segment = Segment::Open(files->front(), true);
  std::fstream file(files->front(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(end * kRecordBytes + 40));
  file << "half of a record";
  file.close();
  EXPECT_TRUE(Verify().torn_end);
  EXPECT_TRUE(Verify().problems.empty());
  Open();
  EXPECT_EQ(log_->next(), end + 1);
  EXPECT_TRUE(Verify().problems.empty());
  EXPECT_FALSE(Verify().torn_end);
}

TEST_F(Ledger, ADamagedRecordDoesNotHideTheOnesAfterIt) {
  Open();
  AppendPairs(20);
  std::uint64_t end = log_->next();
  FlipByte(10, 100);
  Open();
  EXPECT_EQ(log_->next(), end + 1);
  EXPECT_FALSE(Verify().problems.empty());
}

TEST_F(Ledger, VerifyFindsASettlementWithoutAReservation) {
  Open();
  ASSERT_TRUE(log_->Append(Settle(7)));
  VerifyReport report = Verify();
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_NE(report.problems[0].find("without an open reservation"), std::string::npos);
}

TEST_F(Ledger, RequestsInFlightSettleWhenNoSegmentCanBeMade) {
  Open();
  auto next_file = LedgerFolder(folder_.path()) / fmt::format("{:012}.seg.tmp", kSlots);
  std::filesystem::create_directory(next_file);  // stands in the way of the next segment, for root too
  int reserved = 0;
  Result<std::uint64_t> done = std::uint64_t{0};
  while ((done = log_->Append(Reserve(reserved)))) ++reserved;
  EXPECT_GT(reserved, 10);
  EXPECT_EQ(done.error().code, Code::kUnavailable);
  EXPECT_EQ(done.error().message.find(folder_.path().string()), std::string::npos) << "a client sees it";
  for (int i = 0; i < reserved; ++i) ASSERT_TRUE(log_->Append(Settle(i))) << i << " of " << reserved;
}

TEST_F(Ledger, ManyThreadsGetEachTheirOwnRecord) {
  Open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(log_->Append(Reserve(t * 200 + i)));
        ASSERT_TRUE(log_->Append(Settle(t * 200 + i)));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  VerifyReport report = Verify();
  EXPECT_TRUE(report.problems.empty()) << report.problems[0];
  EXPECT_EQ(report.reserves, 800u);
  EXPECT_EQ(report.open, 0u);
}

TEST(StateLock, ASecondHolderIsRefusedAndTheFirstIsNamed) {
  TestFolder folder("lock");
  auto first = StateLock::Acquire(folder.path());
  ASSERT_TRUE(first);
  EXPECT_TRUE(InUse(folder.path()));
  auto second = StateLock::Acquire(folder.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
}

TEST(Record, LongTextsAreCutButStayDifferent) {
  LedgerEntry entry;
  std::string a(100, 'm'), b = a + "x";
  entry.public_model = a;
  entry.target = "openai/gpt-4.1";
  Record first = EncodeEntry(entry);
  entry.public_model = b;
  Record second = EncodeEntry(entry);
  EXPECT_NE(PublicModel(first), PublicModel(second));
  EXPECT_LE(PublicModel(first).size(), 48u);
  EXPECT_EQ(TargetName(first), "openai/gpt-4.1");
}

TEST(Record, IsValidOnlyInItsOwnPlace) {
  Record record = EncodeEpoch(), out;
  Stamp(record, 5, 1);
  EXPECT_EQ(Inspect(&record, 5, out), SlotState::kValid);
  EXPECT_EQ(Inspect(&record, 6, out), SlotState::kDamaged);
}

}  // namespace
}  // namespace nereid::store

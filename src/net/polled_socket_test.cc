#include "net/polled_socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "net/spawn.h"

namespace nereid::net {
namespace {

// Two ends of a stream inside this process: `socket` is followed, `other` is written to by the test.
class PolledSocketTest : public ::testing::Test {
 protected:
  PolledSocketTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    socket_.emplace(context_.get_executor(), ends[0]);
    other_ = ends[1];
  }
  ~PolledSocketTest() override { CloseOther(); }

  void CloseOther() {
    if (other_ >= 0) ::close(std::exchange(other_, -1));
  }
  Task<Nothing> WaitInto(std::optional<bool>& result, Need need) {
    result = co_await socket_->Wait(need);
    co_return Nothing{};
  }
  void Start(std::optional<bool>& result, Need need, asio::cancellation_slot slot = {}) {
    Spawn(context_.get_executor(), WaitInto(result, need), [](auto) {}, slot);
    context_.restart();
    context_.poll();
  }
  void Poll() {
    context_.restart();
    context_.poll();
  }
  void Drain() {
    char bytes[16];
    while (::recv(socket_->fd(), bytes, sizeof bytes, 0) > 0) {
    }
    socket_->Exhausted(Need::kRead);
  }

  asio::io_context context_{1};
  std::optional<PolledSocket> socket_;
  int other_ = -1;
};

TEST_F(PolledSocketTest, AWaitEndsWhenBytesComeAndNotBefore) {
  std::optional<bool> readable;
  Start(readable, Need::kRead);
  EXPECT_FALSE(readable);
  EXPECT_FALSE(socket_->Ready(Need::kRead));
  ASSERT_EQ(::send(other_, "a", 1, 0), 1);
  Poll();
  EXPECT_EQ(readable, true);
  EXPECT_TRUE(socket_->Ready(Need::kRead));
}

TEST_F(PolledSocketTest, AfterExhaustedOnlyWhatComesNextCounts) {
  std::optional<bool> first, second;
  ASSERT_EQ(::send(other_, "a", 1, 0), 1);
  Start(first, Need::kRead);
  EXPECT_EQ(first, true);
  Drain();
  Start(second, Need::kRead);
  EXPECT_FALSE(second);
  ASSERT_EQ(::send(other_, "b", 1, 0), 1);
  Poll();
  EXPECT_EQ(second, true);
}

TEST_F(PolledSocketTest, AnEventBeforeTheWaitIsNotLost) {
  Poll();
  ASSERT_EQ(::send(other_, "a", 1, 0), 1);
  Poll();  // nobody waits
  std::optional<bool> readable;
  Start(readable, Need::kRead);
  EXPECT_EQ(readable, true);
}

TEST_F(PolledSocketTest, APeerThatEndedStaysReadableAndIsTold) {
  int told = 0;
  socket_->OnHangUp([&] { ++told; });
  CloseOther();
  Poll();
  EXPECT_TRUE(socket_->hung_up());
  EXPECT_EQ(told, 1);
  socket_->Exhausted(Need::kRead);
  EXPECT_TRUE(socket_->Ready(Need::kRead));
}

TEST_F(PolledSocketTest, CancelledWaitsAreFalse) {
  std::optional<bool> by_call, by_signal, by_close;
  Start(by_call, Need::kRead);
  socket_->CancelWaits();
  EXPECT_FALSE(by_call) << "never within the caller's frame";
  Poll();
  EXPECT_EQ(by_call, false);

  asio::cancellation_signal signal;
  Start(by_signal, Need::kRead, signal.slot());
  signal.emit(asio::cancellation_type::terminal);
  Poll();
  EXPECT_EQ(by_signal, false);

  Start(by_close, Need::kRead);
  socket_->Close();
  Poll();
  EXPECT_EQ(by_close, false);
  EXPECT_FALSE(socket_->open());
}

TEST_F(PolledSocketTest, AReaderAndAWriterWaitSideBySide) {
  char full[4096] = {};
  while (::send(socket_->fd(), full, sizeof full, 0) > 0) {
  }
  Poll();
  socket_->Exhausted(Need::kWrite);
  std::optional<bool> readable, writable;
  Start(readable, Need::kRead);
  Start(writable, Need::kWrite);
  EXPECT_FALSE(readable);
  EXPECT_FALSE(writable);
  while (::recv(other_, full, sizeof full, 0) > 0) {
  }
  Poll();
  EXPECT_EQ(writable, true);
  EXPECT_FALSE(readable);
  ASSERT_EQ(::send(other_, "a", 1, 0), 1);
  Poll();
  EXPECT_EQ(readable, true);
}

TEST_F(PolledSocketTest, ADestroyedSocketEndsItsWait) {
  std::optional<bool> readable;
  Start(readable, Need::kRead);
  socket_.reset();
  Poll();
  EXPECT_EQ(readable, false);
}

}  // namespace
}  // namespace nereid::net

// Calls on a stream that the test holds in its hand, on an io thread: who is told what, and when.
#include "grpc/call.h"

#include <future>

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include "grpc/fake_models_for_test.h"
#include "grpc/infer_call.h"
#include "grpc/stream_call.h"
#include "net/io_threads.h"
#include "proto/grpc_service.pb.h"

namespace nereid::grpc_front {
namespace {

class FakeStream final : public net::Http2Stream {
 public:
  std::span<const net::HeaderField> headers() const override { return fields; }
  void Respond(std::span<const net::HeaderField> head, bool) override { Note(head); }
  void Write(net::Piece piece) override { written_bytes += piece.bytes.size(); }
  void End(std::span<const net::HeaderField> trailers) override { Note(trailers); }
  void Consume(std::size_t bytes) override { consumed_bytes += bytes; }

  std::vector<net::HeaderField> fields;
  std::size_t written_bytes = 0, consumed_bytes = 0;
  std::string status, text;  // once it has ended

 private:
  void Note(std::span<const net::HeaderField> answer) {
    for (const net::HeaderField& field : answer) {
      if (field.name == "grpc-status") status = field.value;
      if (field.name == "grpc-message") text = field.value;
    }
  }
};

std::string Framed(std::string_view content) {
  std::string prefix(kPrefixBytes, '\0');
  WritePrefix(prefix.data(), false, content.size());
  return prefix.append(content);
}

std::string RequestOf(const std::string& model, std::size_t ints = 2) {
  inference::ModelInferRequest request;
  request.set_model_name(model);
  auto* input = request.add_inputs();
  input->set_name("IN");
  input->set_datatype("INT32");
  input->add_shape(1);
  input->add_shape(static_cast<std::int64_t>(ints));
  request.add_raw_input_contents(std::string(ints * 4, '\0'));
  return Framed(request.SerializeAsString());
}

class CallTest : public testing::Test {
 protected:
  CallTest() {
    models_.AddModel("m");
    models_.AddModel("tokens", true);
    models_.on_submit = [this](FakeModels::Submitted one) { submitted_.push_back(std::move(one)); };
    threads_.Start();
  }
  ~CallTest() override {
    OnHome([&] {
      if (call_) call_->OnClose();
    });
    for (auto& one : submitted_) End(one);
  }

  // Behind all that earlier work has posted there: what a handler posts joins the queue only when it returns, hence the first round.
  void OnHome(const std::function<void()>& work) {
    for (const std::function<void()>& round : {std::function<void()>([] {}), work}) {
      std::promise<void> done;
      net::asio::post(threads_.executor(0), [&] {
        round();
        done.set_value();
      });
      done.get_future().wait();
    }
  }
  template <class Kind>
  void Begin(std::vector<net::HeaderField> fields = {}) {
    stream_.fields = std::move(fields);
    call_ = std::make_shared<Kind>(shared_, Incoming{stream_, 0, threads_.executor(0), net::Encoding::kIdentity});
  }

  static void End(FakeModels::Submitted& one) {
    InferResponse end;
    end.empty = true;
    if (one.receiver) one.receiver->Push(std::move(end));
  }
  static Pushed PushPart(FakeModels::Submitted& one) {
    InferResponse response = FakeModels::Echo(one.request);
    response.final = false;
    return one.receiver->Push(std::move(response));
  }
  // Until the first request's model is told to wait, and it does.
  void FillAndPark() {
    while (PushPart(submitted_.at(0)) == Pushed::kTaken) {
    }
    submitted_.at(0).receiver->OnRoom([this] { woken_ = true; });
    ASSERT_FALSE(woken_);
  }

  FakeModels models_;
  const std::shared_ptr<const CallContext> shared_ = std::make_shared<CallContext>(
      models_, ServerIdentity{}, Access(V2Auth::kOpen, {}, {}), HeaderForward(""), "none", std::make_shared<net::ByteBudget>(64 << 20));
  FakeStream stream_;
  std::shared_ptr<Call> call_;
  std::vector<FakeModels::Submitted> submitted_;
  bool woken_ = false;
  net::IoThreads threads_{1};
};

// ---------------------------------------------------------------- bounds of a stream

TEST_F(CallTest, ReadingGoesOnOnlyAfterTheAnswerThatMadeRoomHasReturned) {
  OnHome([&] {
    Begin<StreamCall>();
    for (std::size_t i = 0; i < StreamCall::kRequestsMax + 1; ++i) call_->OnData(RequestOf("m"));
    EXPECT_EQ(submitted_.size(), StreamCall::kRequestsMax);
    FakeModels::Submitted first = submitted_.front();
    first.receiver->Push(FakeModels::Echo(first.request));
    EXPECT_EQ(submitted_.size(), StreamCall::kRequestsMax);  // who pushes may hold a lock that Submit wants
  });
  OnHome([&] { EXPECT_EQ(submitted_.size(), StreamCall::kRequestsMax + 1); });
}

TEST_F(CallTest, ErrorsThatTheClientDoesNotReadStopReading) {
  std::size_t before = 0;
  OnHome([&] {
    Begin<StreamCall>();
    std::string nonsense;
    for (int i = 0; i < 100; ++i) nonsense += Framed("");
    for (int i = 0; i < 1000; ++i) call_->OnData(nonsense);
    before = stream_.written_bytes;
    EXPECT_GT(before, StreamCall::kQueuedBytesMax);
    EXPECT_LT(before, StreamCall::kQueuedBytesMax + 1000);
    call_->OnSent(before);
  });
  OnHome([&] { EXPECT_GT(stream_.written_bytes, before); });
}

TEST_F(CallTest, WhatIsNotTakenIsKeptAsItCameAndCounts) {
  shared_->budget->Take(61 << 20);  // of 64
  OnHome([&] {
    Begin<StreamCall>();
    for (std::size_t i = 0; i < StreamCall::kRequestsMax; ++i) call_->OnData(RequestOf("m"));
    std::string many;
    for (int i = 0; i < 200'000; ++i) many += Framed("x");
    many += RequestOf("m");
    for (std::size_t at = 0; at < many.size(); at += 60'000) call_->OnData(std::string_view(many).substr(at, 60'000));
    EXPECT_EQ(stream_.status, "");
    EXPECT_EQ(submitted_.size(), StreamCall::kRequestsMax);
    for (int i = 0; i < 100 && stream_.status.empty(); ++i) call_->OnData(std::string_view(many).substr(0, 60'000));
    EXPECT_EQ(stream_.status, "8");
  });
}

TEST_F(CallTest, WhatWasKeptIsTakenInOrder) {
  constexpr std::size_t kMore = 1000;
  OnHome([&] {
    Begin<StreamCall>();
    std::string all;
    for (std::size_t i = 0; i < StreamCall::kRequestsMax + kMore; ++i) all += RequestOf("m", 1 + i);
    for (std::size_t at = 0; at < all.size(); at += 10'007) call_->OnData(std::string_view(all).substr(at, 10'007));
    call_->OnEnd();
  });
  for (std::size_t i = 0; i < StreamCall::kRequestsMax + kMore; ++i) {
    OnHome([&] {
      ASSERT_GT(submitted_.size(), i);
      FakeModels::Submitted one = std::move(submitted_[i]);
      EXPECT_EQ(one.request.inputs.at(0).data.size(), 4 * (1 + i));
      std::size_t before = stream_.written_bytes;
      one.receiver->Push(FakeModels::Echo(one.request));
      call_->OnSent(stream_.written_bytes - before);
    });
  }
  OnHome([&] { EXPECT_EQ(stream_.status, "0"); });
}

TEST_F(CallTest, AnswersThatWaitForTheirTurnStopReading) {
  OnHome([&] {
    Begin<StreamCall>();
    call_->OnData(RequestOf("m"));  // not answered
    for (int i = 0; i < 50; ++i) {
      call_->OnData(RequestOf("m", 25'000));
      while (submitted_.size() > 1) {
        submitted_.back().receiver->Push(FakeModels::Echo(submitted_.back().request));
        submitted_.pop_back();
      }
    }
    EXPECT_EQ(stream_.written_bytes, 0u);
    EXPECT_LT(stream_.consumed_bytes, 2 * StreamCall::kQueuedBytesMax);
    std::size_t before = stream_.consumed_bytes;
    submitted_.at(0).receiver->Push(FakeModels::Echo(submitted_.at(0).request));
    EXPECT_GT(stream_.written_bytes, StreamCall::kQueuedBytesMax);
    EXPECT_EQ(stream_.consumed_bytes, before);
    call_->OnSent(stream_.written_bytes);
  });
  OnHome([&] { EXPECT_GT(submitted_.size(), 1u); });
}

// ---------------------------------------------------------------- ends

TEST_F(CallTest, AModelThatWaitsForRoomIsWokenAtTheDeadline) {
  OnHome([&] {
    Begin<StreamCall>({{"grpc-timeout", "1S"}});
    call_->OnData(RequestOf("tokens"));
    FillAndPark();
    call_->OnTick(SystemClock().Steady() + std::chrono::seconds(2));
    EXPECT_EQ(stream_.status, "4");
    EXPECT_TRUE(woken_);
    EXPECT_EQ(PushPart(submitted_.at(0)), Pushed::kGone);
  });
}

TEST_F(CallTest, AModelThatWaitsForRoomIsWokenByABadFrame) {
  OnHome([&] {
    Begin<StreamCall>();
    call_->OnData(RequestOf("tokens"));
    FillAndPark();
    call_->OnData("\x7f\x7f\x7f\x7f\x7f");
    EXPECT_TRUE(woken_);
    EXPECT_EQ(PushPart(submitted_.at(0)), Pushed::kGone);
  });
}

TEST_F(CallTest, AModelThatWaitsForRoomIsWokenByAnErrorThatEndsTheStream) {
  OnHome([&] {
    Begin<StreamCall>({{"triton_grpc_error", "true"}});
    call_->OnData(RequestOf("tokens"));
    call_->OnData(RequestOf("tokens"));
    FillAndPark();
    InferResponse error;
    error.error = Status{Code::kInternal, "no", {}, {}};
    submitted_.at(1).receiver->Push(std::move(error));
    EXPECT_EQ(stream_.status, "13");
  });
  OnHome([&] {
    EXPECT_TRUE(woken_);
    EXPECT_EQ(PushPart(submitted_.at(0)), Pushed::kGone);
  });
}

TEST_F(CallTest, AMessageThatStallsEndsItsCall) {
  OnHome([&] {
    Begin<InferCall>();
    SteadyTime now = SystemClock().Steady();
    std::string request = RequestOf("m", 1000);
    call_->OnTick(now);
    call_->OnTick(now += std::chrono::seconds(60));  // nothing has begun
    call_->OnData(request.substr(0, 100));
    call_->OnTick(now += std::chrono::seconds(20));
    call_->OnTick(now += std::chrono::seconds(20));
    call_->OnData(request.substr(100, 100));
    call_->OnTick(now += std::chrono::seconds(20));
    EXPECT_EQ(stream_.status, "");
    call_->OnTick(now += std::chrono::seconds(31));
    EXPECT_EQ(stream_.status, "4");
    EXPECT_EQ(stream_.text, "the rest of a message did not come");
  });
}

TEST_F(CallTest, AClientThatIsHeldBackDoesNotStall) {
  OnHome([&] {
    Begin<StreamCall>();
    for (std::size_t i = 0; i < StreamCall::kRequestsMax + 1; ++i) call_->OnData(RequestOf("m"));
    call_->OnData(RequestOf("m").substr(0, 20));
    SteadyTime now = SystemClock().Steady();
    for (int i = 0; i < 3; ++i) call_->OnTick(now += std::chrono::seconds(60));
    EXPECT_EQ(stream_.status, "");
  });
}

}  // namespace
}  // namespace nereid::grpc_front

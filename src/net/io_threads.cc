#include "net/io_threads.h"

#include <pthread.h>

#include <string>

#include "net/spawn.h"

namespace nereid::net {
namespace {

thread_local int current_index = -1;

}  // namespace

IoThreads::IoThreads(int count) {
  for (int i = 0; i < std::max(1, count); ++i) threads_.push_back(std::make_unique<Thread>());
}

IoThreads::~IoThreads() {
  Stop();
  Join();
}

void IoThreads::Start() {
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    threads_[i]->thread = std::thread([this, i] {
      current_index = static_cast<int>(i);
      ::pthread_setname_np(::pthread_self(), ("io-" + std::to_string(i)).c_str());
      threads_[i]->context.run();
    });
  }
}

int IoThreads::CurrentIndex() {
  return current_index;
}

Task<Nothing> IoThreads::RunOnAll(std::function<void(int index)> work) {
  OneShot<Nothing> all(co_await asio::this_coro::executor);
  auto left = std::make_shared<std::atomic<int>>(count());
  auto shared = std::make_shared<std::function<void(int)>>(std::move(work));
  for (int i = 0; i < count(); ++i) {
    asio::post(executor(i), [shared, left, i, done = all.completer()] {
      (*shared)(i);
      if (left->fetch_sub(1) == 1) done(Nothing{});
    });
  }
  co_return co_await all.Wait();
}

void IoThreads::Stop() {
  for (auto& thread : threads_) thread->context.stop();
}

void IoThreads::Join() {
  for (auto& thread : threads_) {
    if (thread->thread.joinable()) thread->thread.join();
  }
}

}  // namespace nereid::net

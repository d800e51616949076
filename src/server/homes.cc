#include "server/homes.h"

#include <unistd.h>

#include "net/polled_socket.h"
#include "net/spawn.h"

namespace nereid::server {
namespace {

// On the home's thread once that has seen it.
struct Watched {
  int event = -1;  // until the socket has it
  std::function<void()> call;
  std::optional<net::PolledSocket> socket;
  bool ended = false;

  ~Watched() {
    if (event >= 0) ::close(event);
  }
};

net::Task<Nothing> Follow(std::shared_ptr<Watched> watched) {
  while (co_await watched->socket->Wait(net::Need::kRead)) {
    if (watched->ended) break;
    watched->socket->Exhausted(net::Need::kRead);
    watched->call();
  }
  watched->socket.reset();
  watched->call = nullptr;
  co_return Nothing{};
}

}  // namespace

std::shared_ptr<void> IoHome::Watch(int event, std::function<void()> call) {
  auto watched = std::make_shared<Watched>();
  watched->event = event;
  watched->call = std::move(call);
  net::asio::post(executor_, [watched, executor = executor_] {
    watched->socket.emplace(executor, std::exchange(watched->event, -1));
    net::Spawn<Nothing>(executor, Follow(watched), [](Result<Nothing>) {});
  });
  return {nullptr, [watched, executor = executor_](void*) {
            net::asio::post(executor, [watched] {
              watched->ended = true;
              if (watched->socket) watched->socket->CancelWaits();
            });
          }};
}

std::vector<std::unique_ptr<Home>> MakeHomes(const net::IoThreads& threads) {
  std::vector<std::unique_ptr<Home>> homes;
  for (int i = 0; i < threads.count(); ++i) homes.push_back(std::make_unique<IoHome>(threads.executor(i)));
  return homes;
}

}  // namespace nereid::server

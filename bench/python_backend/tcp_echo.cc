// The floor under large tensors: bytes sent to another process over TCP and back, without HTTP and without a model. Prints JSON.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace {

bool ReadAll(int fd, char* to, std::size_t size) {
  while (size > 0) {
    ssize_t got = ::recv(fd, to, size, 0);
    if (got <= 0) return false;
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

bool WriteAll(int fd, const char* from, std::size_t size) {
  while (size > 0) {
    ssize_t sent = ::send(fd, from, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    from += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

void NoDelay(int fd) {
  int yes = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

[[noreturn]] void Serve(int listener, std::size_t bytes) {
  for (;;) {
    int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) ::_exit(1);
    NoDelay(fd);
    std::thread([fd, bytes] {
      std::vector<char> buffer(bytes);
      while (ReadAll(fd, buffer.data(), bytes) && WriteAll(fd, buffer.data(), bytes)) {
      }
      ::close(fd);
    }).detach();
  }
}

}  // namespace

// tcp_echo CONNECTIONS BYTES SECONDS
int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: tcp_echo CONNECTIONS BYTES SECONDS\n");
    return 2;
  }
  const int connections = std::atoi(argv[1]);
  const auto bytes = static_cast<std::size_t>(std::atol(argv[2]));
  int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener, 128) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return 1;
  pid_t server = ::fork();
  if (server == 0) Serve(listener, bytes);
  std::atomic<long> requests{0};
  std::atomic<bool> failed{false};
  auto start = std::chrono::steady_clock::now();
  auto end = start + std::chrono::duration<double>(std::atof(argv[3]));
  std::vector<std::thread> clients;
  for (int i = 0; i < connections; ++i) {
    clients.emplace_back([&] {
      int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      NoDelay(fd);
      std::vector<char> buffer(bytes, 'x');
      if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) failed = true;
      while (!failed && std::chrono::steady_clock::now() < end) {
        if (!WriteAll(fd, buffer.data(), bytes) || !ReadAll(fd, buffer.data(), bytes)) failed = true;
        ++requests;
      }
      ::close(fd);
    });
  }
  for (auto& client : clients) client.join();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  if (failed) return 1;
  fmt::print("{{\"requests\":{},\"rps\":{:.1f}}}\n", requests.load(), static_cast<double>(requests) / seconds);
}

// A worker's round trip for an execute without tensors, beside a bare futex ping-pong between two processes: in a tight loop and after idle
// gaps. Prints JSON: microseconds, medians, and the CPU time of the bare trip, of both sides.
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "backends/python/python_backend.h"
#include "metrics/custom_metrics.h"
#include "proto/model_config.pb.h"

namespace {

using namespace nereid;
using Clock = std::chrono::steady_clock;

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void StayOn(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  ::sched_setaffinity(0, sizeof cores, &cores);
}

// One thing that is timed.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual void RoundTrip() = 0;
};

class PingPong final : public Subject {
 public:
  explicit PingPong(bool apart)
      : words_(static_cast<std::uint32_t*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    child_ = ::fork();
    if (child_ != 0) return;
    if (apart) StayOn(1);
    for (std::uint32_t turn = 0;; ++turn) {
      Await(words_, turn);
      Set(words_ + kApart, turn + 1);
    }
  }
  ~PingPong() override {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  // Seconds, of both sides.
  double Cpu() const {
    clockid_t clock = 0;
    timespec used{};
    ::clock_getcpuclockid(child_, &clock);
    double sum = 0;
    for (clockid_t each : {clock, clockid_t{CLOCK_PROCESS_CPUTIME_ID}}) {
      ::clock_gettime(each, &used);
      sum += static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
    }
    return sum;
  }
  void RoundTrip() override {
    Set(words_, turn_ + 1);
    Await(words_ + kApart, turn_);
    ++turn_;
  }

 private:
  static constexpr int kApart = 64;  // other cache lines
  static void Await(std::uint32_t* word, std::uint32_t old) {
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == old) ::syscall(SYS_futex, word, FUTEX_WAIT, old, nullptr, nullptr, 0);
  }
  static void Set(std::uint32_t* word, std::uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    ::syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  std::uint32_t* words_;
  pid_t child_;
  std::uint32_t turn_ = 0;
};

// This thread, waiting for events as an io thread does.
class ThisThread final : public Home {
 public:
  std::shared_ptr<void> Watch(int event, std::function<void()> call) override {
    event_ = event;
    call_ = std::move(call);
    return {nullptr, [](void*) {}};
  }
  void Wait() {
    pollfd waiting{event_, POLLIN, 0};
    ::poll(&waiting, 1, -1);
    std::uint64_t count;
    if (::read(event_, &count, sizeof count) > 0) call_();
  }
  void Wake() {
    std::uint64_t one = 1;
    (void)!::write(event_, &one, sizeof one);
  }

 private:
  int event_ = -1;
  std::function<void()> call_;
};

class OneExecution final : public Execution {
 public:
  OneExecution(const InferRequest& request, ThisThread& home, std::atomic<bool>& answered)
      : request_(request), home_(home), answered_(answered) {}
  const InferRequest& request() const override { return request_; }
  std::int64_t batch_size() const override { return 1; }
  bool cancelled() const override { return false; }
  Pushed Send(InferResponse&& response) override {
    if (response.error) {
      fmt::print(stderr, "{}\n", response.error->message);
      std::exit(1);
    }
    answered_ = true;
    if (std::this_thread::get_id() != asker_) home_.Wake();  // the tender had a turn just then
    return Pushed::kTaken;
  }
  void OnRoom(std::function<void()>) override {}

 private:
  const InferRequest& request_;
  ThisThread& home_;
  std::atomic<bool>& answered_;
  const std::thread::id asker_ = std::this_thread::get_id();
};

class WorkerTrip final : public Subject {
 public:
  WorkerTrip(std::string python, bool apart) {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("nereid-round-trip-{}", ::getpid());
    std::filesystem::create_directories(folder_ / "empty" / "1");
    std::ofstream(folder_ / "empty" / "1" / "model.py") << "import triton_python_backend_utils as pb_utils\n"
                                                           "class TritonPythonModel:\n"
                                                           "    def execute(self, requests):\n"
                                                           "        return [pb_utils.InferenceResponse() for r in requests]\n";
    if (apart) {
      std::filesystem::path wrapper = folder_ / "python";
      std::ofstream(wrapper) << "#!/bin/sh\nexec taskset -c 1 " << python << " \"$@\"\n";
      std::filesystem::permissions(wrapper, std::filesystem::perms::owner_all);
      python = wrapper;
    }
    BackendWorld world;
    world.memory_bytes = 1 << 30;
    world.options["executable"] = python;
    world.homes = {&home_};
    world.metrics = &metrics_;
    config_.set_name("empty");
    backend_ = Must(python::CreatePythonBackend(world));
    model_ = Must(backend_->Load({"empty", 1, folder_ / "empty", folder_ / "empty" / "1"}, config_, nullptr));
    instance_ = Must(model_->CreateInstance({"empty_0", "KIND_CPU", 0, 0}));
    instance_->SetHooks({[] {}, [] {}});
    request_.home = 0;
  }
  ~WorkerTrip() override { std::filesystem::remove_all(folder_); }

  void RoundTrip() override {
    std::atomic<bool> answered = false;
    ExecutionBatch batch;
    batch.push_back(std::make_unique<OneExecution>(request_, home_, answered));
    instance_->Execute(std::move(batch));
    while (!answered) home_.Wait();
  }

 private:
  template <class T>
  static T Must(Result<T> result) {
    if (result) return *std::move(result);
    fmt::print(stderr, "{}\n", result.error().message);
    std::exit(1);
  }

  std::filesystem::path folder_;
  ThisThread home_;
  CustomMetrics metrics_;
  inference::ModelConfig config_;
  InferRequest request_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<BackendModel> model_;
  std::unique_ptr<ModelInstance> instance_;
};

double Measure(Subject& subject, std::chrono::microseconds gap, int count) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    if (gap.count() > 0) std::this_thread::sleep_for(gap);
    auto start = Clock::now();
    subject.RoundTrip();
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  return Median(std::move(times));
}

}  // namespace

// round_trip PYTHON ROUNDS [apart]: with the two sides on core 0 and core 1
int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    fmt::print(stderr, "usage: round_trip PYTHON ROUNDS [apart]\n");
    return 2;
  }
  bool apart = argc == 4;
  if (apart) StayOn(0);
  PingPong bare(apart);
  WorkerTrip worker(argv[1], apart);
  struct Row {
    const char* name;
    std::chrono::microseconds gap;
    int count;
  };
  std::string out;
  for (auto [name, gap, count] :
       {Row{"tight", std::chrono::microseconds(0), 20'000}, Row{"gap_1ms", std::chrono::microseconds(1000), 500},
        Row{"gap_5ms", std::chrono::microseconds(5000), 200}, Row{"gap_20ms", std::chrono::microseconds(20000), 100}}) {
    std::vector<double> bare_rounds, worker_rounds, cpu_rounds;
    for (int round = 0; round < std::atoi(argv[2]); ++round) {
      double before = bare.Cpu();
      bare_rounds.push_back(Measure(bare, gap, count));
      cpu_rounds.push_back((bare.Cpu() - before) * 1e6 / count);
      worker_rounds.push_back(Measure(worker, gap, count));
    }
    out += fmt::format("{}\"{}\":{{\"futex\":{:.2f},\"worker\":{:.2f},\"futex_cpu\":{:.2f}}}", out.empty() ? "{" : ",", name,
                       Median(bare_rounds), Median(worker_rounds), Median(cpu_rounds));
  }
  fmt::print("{}}}\n", out);
}

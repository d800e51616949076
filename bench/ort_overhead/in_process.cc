// ONNX Runtime in a loop, without a server: what a model costs by itself. Prints one JSON object.
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "backends/onnxruntime/library.h"

namespace nereid {
namespace {

struct Options {
  std::string model;
  int threads = 1, pool = 0, batch = 1;
  std::int64_t variable = 1;
  bool spin = false;
  double seconds = 3;
};

struct Input {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<char> bytes;
  ONNXTensorElementDataType type;
};

std::vector<Input> MakeInputs(Ort::Session& session, const Options& options) {
  std::vector<Input> inputs;
  Ort::AllocatorWithDefaultOptions allocator;
  for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
    Ort::TypeInfo type = session.GetInputTypeInfo(i);
    auto info = type.GetTensorTypeAndShapeInfo();
    Input input{session.GetInputNameAllocated(i, allocator).get(), info.GetShape(), {}, info.GetElementType()};
    for (std::size_t d = 0; d < input.shape.size(); ++d)
      if (input.shape[d] < 0) input.shape[d] = d == 0 ? options.batch : options.variable;
    std::size_t bytes = ElementBytes(onnxruntime::DatatypeOf(input.type));
    for (std::int64_t dim : input.shape) bytes *= static_cast<std::size_t>(dim);
    input.bytes.assign(bytes, 0);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

void Loop(Ort::Session& session, const Options& options, const std::atomic<bool>& stop, std::atomic<std::uint64_t>& runs) {
  Ort::AllocatorWithDefaultOptions allocator;
  Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<Input> inputs = MakeInputs(session, options);
  std::vector<const char*> names, wanted;
  std::vector<Ort::AllocatedStringPtr> kept;
  for (const Input& input : inputs) names.push_back(input.name.c_str());
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i)
    wanted.push_back(kept.emplace_back(session.GetOutputNameAllocated(i, allocator)).get());
  while (!stop) {
    std::vector<Ort::Value> values;
    for (Input& input : inputs)
      values.push_back(
          Ort::Value::CreateTensor(memory, input.bytes.data(), input.bytes.size(), input.shape.data(), input.shape.size(), input.type));
    session.Run(Ort::RunOptions{nullptr}, names.data(), values.data(), values.size(), wanted.data(), wanted.size());
    ++runs;
  }
}

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("ONNX Runtime in a loop.");
  app.add_option("model", options.model)->required();
  app.add_option("--threads", options.threads, "callers of Run");
  app.add_option("--pool", options.pool, "threads of the session's own pool; 0: as many as cores");
  app.add_option("--batch", options.batch, "size of a first dimension that varies");
  app.add_option("--variable", options.variable, "size of any other dimension that varies");
  app.add_flag("--spin", options.spin, "let the pool spin while it waits");
  app.add_option("--seconds", options.seconds);
  CLI11_PARSE(app, argc, argv);
  if (auto opened = onnxruntime::OpenLibrary(""); !opened) {
    fmt::print(stderr, "ort_in_process: {}\n", opened.error().message);
    return 1;
  }
  Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "bench");
  Ort::SessionOptions settings;
  settings.SetIntraOpNumThreads(options.pool);
  settings.AddConfigEntry("session.intra_op.allow_spinning", options.spin ? "1" : "0");
  Ort::Session session(environment, options.model.c_str(), settings);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> runs = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < options.threads; ++i) threads.emplace_back([&] { Loop(session, options, stop, runs); });
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  std::uint64_t runs_before = runs;
  double cpu_before = CpuSeconds();
  auto before = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
  double items = static_cast<double>((runs - runs_before) * static_cast<std::uint64_t>(options.batch));
  double cpu = CpuSeconds() - cpu_before;
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  stop = true;
  threads.clear();
  fmt::print(R"({{"rps":{:.1f},"cpu_us":{:.3f}}})"
             "\n",
             items / seconds, cpu * 1e6 / items);
  return 0;
}

}  // namespace
}  // namespace nereid

int main(int argc, char** argv) {
  return nereid::Main(argc, argv);
}

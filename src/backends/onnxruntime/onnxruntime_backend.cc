#include "backends/onnxruntime/onnxruntime_backend.h"

#include <charconv>

#include <fmt/format.h>

#include "backends/onnxruntime/autocomplete.h"
#include "backends/onnxruntime/instance.h"

namespace nereid::onnxruntime {
namespace {

Result<int> IntOption(const BackendWorld& world, const std::string& key, int otherwise) {
  auto found = world.options.find(key);
  if (found == world.options.end()) return otherwise;
  int value = 0;
  const std::string& text = found->second;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    return Error(Code::kInvalidArgument, fmt::format("--backend-config=onnxruntime,{}={}: a number is needed", key, text), "bad_option");
  return value;
}

constexpr std::uintmax_t kNarrowBytesMax = 64 << 20;

std::filesystem::path FileOf(const ModelFiles& files, const inference::ModelConfig& config) {
  return files.version_folder / (config.default_model_filename().empty() ? "model.onnx" : config.default_model_filename());
}

class Model final : public BackendModel {
 public:
  Model(std::shared_ptr<Session> session, const inference::ModelConfig& config, const BackendWorld& world)
      : session_(std::move(session)), config_(config), world_(world) {}
  Result<std::unique_ptr<ModelInstance>> CreateInstance(const InstanceSpec&) override {
    return std::make_unique<Instance>(session_, config_, *world_.arbiter);
  }

 private:
  const std::shared_ptr<Session> session_;  // its Run may be called from several threads: instances share it
  const inference::ModelConfig& config_;
  const BackendWorld& world_;
};

class OnnxRuntimeBackend final : public Backend {
 public:
  OnnxRuntimeBackend(BackendWorld world, Ort::Env environment, int threads, int default_max_batch_size)
      : world_(std::move(world)),
        environment_(std::move(environment)),
        threads_(threads),
        default_max_batch_size_(default_max_batch_size) {}

  Result<std::unique_ptr<Opened>> AutoComplete(const ModelFiles& files, inference::ModelConfig& config) override {
    TRY(auto session, Open(files, config));
    CompleteConfig(session->inputs, session->outputs, default_max_batch_size_, config);
    return std::make_unique<OpenedSession>(std::move(session));
  }

  Result<std::unique_ptr<BackendModel>> Load(const ModelFiles& files, const inference::ModelConfig& config,
                                             std::unique_ptr<Opened> opened) override {
    std::shared_ptr<Session> session;
    if (opened) {
      session = std::move(static_cast<OpenedSession&>(*opened).session);
    } else {
      TRY(session, Open(files, config));
    }
    TRY_DO(CheckConfig(session->inputs, session->outputs, config));
    TRY_DO(AddNarrow(files, config, *session));
    return std::make_unique<Model>(std::move(session), config, world_);
  }

 private:
  struct OpenedSession final : Opened {
    explicit OpenedSession(std::shared_ptr<Session> s) : session(std::move(s)) {}
    std::shared_ptr<Session> session;
  };

  Result<std::shared_ptr<Session>> Open(const ModelFiles& files, const inference::ModelConfig& config) {
    SessionSettings settings;
    settings.shared_threads = threads_;
    for (const auto& group : config.instance_group()) {
      if (group.kind() != inference::ModelInstanceGroup::KIND_GPU) continue;
      if (!HasCuda())
        return Error(Code::kInvalidArgument,
                     fmt::format("instance group {} of model {} has kind KIND_GPU but no GPUs are available", group.name(), config.name()),
                     "no_gpu");
      settings.cuda = true;
      settings.device = group.gpus_size() > 0 ? group.gpus(0) : 0;
    }
    return LoadSession(environment_, FileOf(files, config), config, settings);
  }

  // For a small model with several instances: it holds its weights twice then.
  Result<Nothing> AddNarrow(const ModelFiles& files, const inference::ModelConfig& config, Session& session) {
    int instances = 0;
    for (const auto& group : config.instance_group()) {
      if (group.kind() == inference::ModelInstanceGroup::KIND_GPU) return Nothing{};
      instances += group.count();
    }
    if (instances < 2 || session.threads < 2 || config.parameters().contains("intra_op_thread_count")) return Nothing{};
    std::uintmax_t bytes = 0;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(files.version_folder, ignored)) bytes += entry.file_size(ignored);
    if (bytes > kNarrowBytesMax) return Nothing{};
    SessionSettings settings;
    settings.one_thread = true;
    TRY(session.narrow, LoadSession(environment_, FileOf(files, config), config, settings));
    return Nothing{};
  }

  const BackendWorld world_;
  Ort::Env environment_;
  const int threads_, default_max_batch_size_;
};

}  // namespace

Result<std::unique_ptr<Backend>> CreateOnnxRuntimeBackend(const BackendWorld& world) {
  auto library = world.options.find("library");
  TRY_DO(OpenLibrary(library == world.options.end() ? "" : library->second));
  TRY(int threads, IntOption(world, "intra_op_thread_count", world.cores));
  TRY(int batch_size, IntOption(world, "default-max-batch-size", 4));
  threads = std::max(1, threads);
  TRY(Ort::Env environment, Guarded("starting ONNX Runtime", [&] {
        Ort::ThreadingOptions threading;
        threading.SetGlobalIntraOpNumThreads(threads);
        threading.SetGlobalInterOpNumThreads(1);
        threading.SetGlobalSpinControl(0);  // spinning threads would take the cores from everybody else
        return Ort::Env(threading, ORT_LOGGING_LEVEL_ERROR, "nereid");
      }));
  return std::make_unique<OnnxRuntimeBackend>(world, std::move(environment), threads, batch_size);
}

}  // namespace nereid::onnxruntime

#include "backends/python/python_backend.h"

#include <filesystem>
#include <mutex>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "backends/python/environment.h"
#include "backends/python/instance.h"
#include "backends/python/options.h"
#include "backends/python/tender.h"
#include "base/log.h"
#include "proto/model_config.pb.h"
#include "protocol/kserve/metadata.h"

namespace nereid::python {
namespace {

namespace fs = std::filesystem;

// The worker's package: beside the binary in a build tree, else where an installation puts it.
Result<fs::path> ModuleFolder() {
  std::error_code error;
  fs::path binary = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& folder : {binary / "python", binary.parent_path() / "lib" / "nereid" / "python"}) {
    if (fs::exists(folder / "nereid_worker" / "__main__.py", error)) return folder;
  }
  return Error(Code::kInternal,
               fmt::format("the package nereid_worker is neither in {}/python nor in ../lib/nereid/python", binary.string()),
               "no_worker_package");
}

// What all instances of a model have in common.
struct ModelSetup {
  ModelFiles files;
  Options options;
  Interpreter interpreter;
  WorkerSetup worker;  // but for the name
};

// The arguments of the worker stand behind -m nereid_worker.
void Name(WorkerSetup& worker, const std::string& name) {
  worker.name = name;
  worker.command.arguments[2] = name;
}

// Of all instances of a model.
class Slots final : public InputMemory {
 public:
  void Add(std::shared_ptr<WorkerSlot> slot) {
    std::lock_guard lock(mutex_);
    slots_.push_back(std::move(slot));
  }
  bool AnyReady() const {
    std::lock_guard lock(mutex_);
    return std::ranges::any_of(slots_, [](const auto& slot) { return slot->ready(); });
  }
  // Each worker has its own memory: with several it is not known yet which one will execute the request.
  std::shared_ptr<char> Allocate(std::size_t bytes) override {
    std::shared_ptr<Worker> worker;
    {
      std::lock_guard lock(mutex_);
      if (slots_.size() == 1) worker = slots_.front()->running();
    }
    return worker ? worker->Lend(bytes) : nullptr;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<WorkerSlot>> slots_;  // guarded by mutex_
};

class Model final : public BackendModel {
 public:
  Model(ModelSetup setup, const inference::ModelConfig& config, Tender& tender, std::shared_ptr<Worker> started)
      : setup_(std::move(setup)), config_(config), tender_(tender), started_(std::move(started)) {}
  ~Model() override {
    if (started_) started_->Kill("nobody needs it");
  }

  Result<std::unique_ptr<ModelInstance>> CreateInstance(const InstanceSpec& spec) override {
    if (spec.kind == "KIND_GPU")
      return Error(Code::kInvalidArgument,
                   fmt::format("instance group {} of model {} has kind KIND_GPU but no GPUs are available",
                               spec.name.substr(0, spec.name.rfind('_')), config_.name()),
                   "no_gpu");
    Instance::Setup setup;
    setup.worker = setup_.worker;
    Name(setup.worker, spec.name);
    setup.initialize = InitializeCall(spec);
    setup.stub_limit = setup_.options.stub_limit;
    setup.tender = &tender_;
    setup.slot = std::make_shared<WorkerSlot>();
    slots_->Add(setup.slot);
    std::shared_ptr<Worker> worker;
    {
      std::lock_guard lock(mutex_);
      if (started_ && started_->name() == spec.name) worker = std::exchange(started_, nullptr);
    }
    return Instance::Create(std::move(setup), std::move(worker));
  }
  bool CreatesInstancesInParallel() const override { return true; }

  bool Ready() const override { return slots_->AnyReady(); }
  std::shared_ptr<InputMemory> input_memory() override { return slots_; }

 private:
  PackWriter InitializeCall(const InstanceSpec& spec) const {
    const std::pair<std::string_view, std::string> arguments[] = {
        {"model_config", kserve::RenderConfig(config_)},
        {"model_instance_kind", spec.kind.starts_with("KIND_") ? spec.kind.substr(5) : "CPU"},
        {"model_instance_name", spec.name},
        {"model_instance_device_id", std::to_string(spec.device_id)},
        {"model_repository", setup_.files.model_folder.string()},
        {"model_version", std::to_string(setup_.files.version)},
        {"model_name", config_.name()},
    };
    PackWriter call;
    call.Array(4).Int(static_cast<std::int64_t>(CallKind::kInitialize)).Text(spec.name).Array(std::size(arguments));
    for (const auto& [name, value] : arguments) call.Array(2).Text(name).Text(value);
    call.Bool(config_.model_transaction_policy().decoupled());
    return call;
  }

  const ModelSetup setup_;
  const inference::ModelConfig& config_;
  Tender& tender_;
  const std::shared_ptr<Slots> slots_ = std::make_shared<Slots>();
  std::mutex mutex_;
  std::shared_ptr<Worker> started_;  // for the first instance; guarded by mutex_
};

class PythonBackend final : public Backend {
 public:
  PythonBackend(const BackendWorld& world, Options options, fs::path module_folder, std::unique_ptr<Tender> tender)
      : world_(world),
        options_(std::move(options)),
        module_folder_(std::move(module_folder)),
        environments_(options_.executable),
        tender_(std::move(tender)) {}

  Result<std::unique_ptr<Opened>> AutoComplete(const ModelFiles& files, inference::ModelConfig& config) override {
    TRY(ModelSetup setup, SetUp(files, config));
    // Named as the first instance, which it will be if it completes nothing.
    if (config.instance_group_size() > 0) Name(setup.worker, fmt::format("{}_0", config.instance_group(0).name()));
    TRY(auto worker, Worker::Start(setup.worker, *tender_));
    auto opened = std::make_unique<OpenedWorker>(std::move(worker));
    PackWriter call;
    call.Array(3).Int(static_cast<std::int64_t>(CallKind::kAutoComplete)).Text(kserve::RenderConfig(config)).Text(config.name());
    TRY(auto answer, opened->worker->Ask(call));
    if (answer.result.TakeNil()) return opened;  // the model completes nothing: this worker can be its first instance
    std::string json(answer.result.Text());
    inference::ModelConfig completed;
    auto parsed = google::protobuf::util::JsonStringToMessage(json, &completed);
    if (!parsed.ok())
      return Error(Code::kInternal,
                   fmt::format("auto_complete_config function in model '{}' returned no model configuration: {}", config.name(),
                               parsed.message().ToString()),
                   "bad_model_config");
    config = std::move(completed);
    return nullptr;
  }

  Result<std::unique_ptr<BackendModel>> Load(const ModelFiles& files, const inference::ModelConfig& config,
                                             std::unique_ptr<Opened> opened) override {
    TRY(ModelSetup setup, SetUp(files, config));
    std::shared_ptr<Worker> worker;
    if (opened) worker = std::exchange(static_cast<OpenedWorker&>(*opened).worker, nullptr);
    return std::make_unique<Model>(std::move(setup), config, *tender_, std::move(worker));
  }

 private:
  struct OpenedWorker final : Opened {
    explicit OpenedWorker(std::shared_ptr<Worker> w) : worker(std::move(w)) {}
    ~OpenedWorker() override {
      if (worker) worker->Kill("nobody needs it");
    }
    std::shared_ptr<Worker> worker;
  };

  Result<ModelSetup> SetUp(const ModelFiles& files, const inference::ModelConfig& config) {
    ModelSetup setup;
    setup.files = files;
    TRY(setup.options, options_.WithParametersOf(config));
    std::string file = config.default_model_filename().empty() ? "model.py" : config.default_model_filename();
    if (!file.ends_with(".py"))
      return Error(Code::kInvalidArgument, fmt::format("Model name must end with '.py'. Model name is \"{}\".", file), "bad_model_config");
    std::error_code error;
    if (!fs::is_regular_file(files.version_folder / file, error))
      return Error(Code::kInternal, fmt::format("Python model file not found in '{}'", (files.version_folder / file).string()),
                   "no_model_file");
    TRY(setup.interpreter, environments_.For(files, config));
    const Options& options = setup.options;
    WorkerSetup& worker = setup.worker;
    worker.name = config.name();
    worker.command.executable = setup.interpreter.executable;
    worker.command.arguments = {"-m",
                                "nereid_worker",
                                config.name(),
                                fs::absolute(files.version_folder).string(),
                                file,
                                fmt::format("{},{},{}", options.sizes.initial, options.sizes.growth, options.sizes.most),
                                std::to_string(options.memory_limit_bytes),
                                std::to_string(std::min<std::size_t>(1 + world_.homes.size(), kEvents))};
    worker.command.environment = WorkerVariables(module_folder_, setup.interpreter, world_.secret_variables);
    worker.environment = setup.interpreter.unpacked;
    worker.sizes = options.sizes;
    worker.region_prefix = options.region_prefix;
    worker.decoupled = config.model_transaction_policy().decoupled();
    worker.rules = std::make_shared<OutputRules>(config, options.check_outputs);
    worker.start_limit = options.stub_limit;
    worker.execute_limit = options.execute_limit;
    worker.abandoned_limit = options.stub_limit;
    worker.world = world_;
    return setup;
  }

  const BackendWorld world_;
  const Options options_;
  const fs::path module_folder_;
  Environments environments_;
  const std::unique_ptr<Tender> tender_;  // last: its thread uses what stands above
};

}  // namespace

Result<std::unique_ptr<Backend>> CreatePythonBackend(const BackendWorld& world) {
  TRY(Options options, Options::Parse(world.options, world.memory_bytes));
  TRY(fs::path module_folder, ModuleFolder());
  TRY(auto tender, Tender::Start());
  return std::make_unique<PythonBackend>(world, std::move(options), std::move(module_folder), std::move(tender));
}

}  // namespace nereid::python

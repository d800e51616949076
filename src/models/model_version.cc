#include "models/model_version.h"

#include <future>

#include <fmt/format.h>

#include "base/log.h"
#include "models/config/model_config.h"

namespace nereid::models {
namespace {

template <class Ios>
std::vector<TensorMetadata> MetadataOf(const Ios& ios, bool batches) {
  std::vector<TensorMetadata> out;
  for (const auto& io : ios) {
    Shape shape(io.dims().begin(), io.dims().end());
    if (batches) shape.insert(shape.begin(), -1);
    out.push_back({io.name(), DatatypeOf(io.data_type()), std::move(shape)});
  }
  return out;
}

std::vector<InstanceSpec> InstanceSpecs(inference::ModelConfig& config) {
  std::vector<InstanceSpec> specs;
  for (auto& group : *config.mutable_instance_group()) {
    if (group.kind() == inference::ModelInstanceGroup::KIND_AUTO) group.set_kind(inference::ModelInstanceGroup::KIND_CPU);
    for (int i = 0; i < group.count(); ++i) {
      specs.push_back({fmt::format("{}_{}", group.name(), i), inference::ModelInstanceGroup::Kind_Name(group.kind()),
                       group.gpus_size() > 0 ? group.gpus(i % group.gpus_size()) : 0, i});
    }
  }
  return specs;
}

Result<std::vector<std::unique_ptr<ModelInstance>>> CreateInstances(BackendModel& model, const std::vector<InstanceSpec>& specs) {
  std::vector<std::future<Result<std::unique_ptr<ModelInstance>>>> made;
  auto policy = model.CreatesInstancesInParallel() ? std::launch::async : std::launch::deferred;
  for (const InstanceSpec& spec : specs) made.push_back(std::async(policy, [&model, &spec] { return model.CreateInstance(spec); }));
  std::vector<std::unique_ptr<ModelInstance>> instances;
  for (auto& each : made) {
    TRY(auto instance, each.get());  // the futures of the others wait in their destructors
    instances.push_back(std::move(instance));
  }
  return instances;
}

}  // namespace

Result<std::shared_ptr<ModelVersion>> ModelVersion::Load(const PolledModel& polled, std::int64_t version, Backend& backend,
                                                         bool auto_complete, const VersionWorld& world) {
  SteadyTime began = world.clock->Steady();
  ModelFiles files{polled.name, version, polled.folder, polled.folder / std::to_string(version)};
  auto config = std::make_shared<inference::ModelConfig>(polled.config);
  std::unique_ptr<Backend::Opened> opened;
  if (auto_complete) {
    TRY(opened, backend.AutoComplete(files, *config));
  }
  // The backend may have turned batching on, or set what the defaults depend on.
  TRY_DO(NormaliseConfig(polled.name, *config));
  TRY_DO(CheckConfigAtLoad(*config));
  if (config->model_warmup_size() > 0) LOG_WARNING("model '{}' asks for model_warmup, which this version does not run yet", polled.name);
  if (config->response_cache().enable())
    LOG_WARNING("model '{}' asks for response_cache, which this version does not have yet", polled.name);

  std::shared_ptr<ModelVersion> self(new ModelVersion);
  TRY(auto labels, ReadLabels(polled.folder, *config));
  TRY(self->model_, backend.Load(files, *config, std::move(opened)));
  TRY(auto instances, CreateInstances(*self->model_, InstanceSpecs(*config)));

  bool batches = config->max_batch_size() > 0;
  auto info = std::make_shared<ModelInfo>();
  info->name = polled.name;
  info->version = version;
  info->platform = config->platform().empty() ? config->backend() : config->platform();
  info->versions = {version};
  info->inputs = MetadataOf(config->input(), batches);
  info->outputs = MetadataOf(config->output(), batches);
  info->config = config;
  info->labels = std::move(labels);
  info->max_batch_size = config->max_batch_size();
  info->decoupled = config->model_transaction_policy().decoupled();
  info->text_generator = self->model_->text_generator();
  info->input_memory = self->model_->input_memory();
  self->number_ = version;
  self->info_ = std::move(info);
  self->config_ = config;
  self->rules_ = std::make_unique<RequestRules>(*config);
  self->reshapes_ = std::make_shared<Reshapes>(*config);

  SchedulerSetup setup;
  setup.model = polled.name;
  setup.version = version;
  setup.batcher = BatcherConfig::Of(*config);
  setup.batches = batches;
  setup.decoupled = config->model_transaction_policy().decoupled();
  setup.preserve_ordering = config->dynamic_batching().preserve_ordering() && !setup.decoupled;
  for (const auto& input : config->input()) {
    if (input.allow_ragged_batch()) setup.ragged.push_back(input.name());
  }
  setup.inflight = world.inflight;
  setup.clock = world.clock;
  setup.home = world.home;
  setup.statistics = self->statistics_;
  setup.reshapes = self->reshapes_;
  self->scheduler_ = std::make_unique<Scheduler>(std::move(setup), std::move(instances));
  self->load_seconds_ = std::chrono::duration<double>(world.clock->Steady() - began).count();
  return self;
}

ModelVersion::~ModelVersion() {
  NEREID_CHECK(!scheduler_ || !model_);
}

void ModelVersion::Stop() {
  scheduler_->Stop();
  std::unique_ptr<BackendModel> ended;
  std::lock_guard lock(model_mutex_);
  ended.swap(model_);
}

bool ModelVersion::Ready() const {
  std::lock_guard lock(model_mutex_);
  return model_ && model_->Ready();
}

void ModelVersion::Submit(InferRequest request, std::shared_ptr<InferReceiver> receiver) {
  if (auto checked = rules_->Check(request); !checked) {
    InferResponse response;
    response.model_name = config_->name();
    response.model_version = number_;
    response.client_id = request.client_id;
    response.error = std::move(checked).error();
    receiver->Push(std::move(response));
    return;  // Triton's statistics do not count these either
  }
  reshapes_->ToModel(request);
  scheduler_->Enqueue(std::move(request), std::move(receiver));
}

void ModelVersion::SetVersions(std::vector<std::int64_t> versions) {
  auto info = std::make_shared<ModelInfo>(*info_);
  info->versions = std::move(versions);
  info_ = std::move(info);
}

}  // namespace nereid::models

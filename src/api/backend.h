// What a backend is: turns a version's files into something that executes. One folder under backends/ each; they see this header,
// proto/ and ranks 0-1, never models/.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/infer.h"
#include "api/text.h"
#include "base/compute_arbiter.h"
#include "base/status.h"

namespace inference {
class ModelConfig;
class ModelInstanceGroup;
}  // namespace inference

namespace nereid {

class CustomMetrics;
class ModelService;

// One request inside a backend. Destroying one that got no final response answers it with kInternal.
class Execution {
 public:
  virtual ~Execution() = default;
  virtual const InferRequest& request() const = 0;
  // The same tensors, but they lie elsewhere from now on: the memory that the front end received them in is free.
  virtual void MoveInputs(std::vector<Tensor> /*inputs*/) {}
  // Leading dim of the inputs when the model batches, else 1.
  virtual std::int64_t batch_size() const = 0;
  virtual bool cancelled() const = 0;
  // Any thread. Exactly one final response a request; a model that is not decoupled sends exactly one response. Set `times` on the final
  // one.
  virtual Pushed Send(InferResponse&& response) = 0;
  virtual void OnRoom(std::function<void()> wake) = 0;
};

using ExecutionBatch = std::vector<std::unique_ptr<Execution>>;

struct InstanceSpec {
  std::string name;  // "magika_0_0"
  std::string kind;  // "KIND_CPU", "KIND_GPU", "KIND_MODEL"
  int device_id = 0;
  int index = 0;
};

// What an instance tells its scheduler. Any thread; also after the instance's end, when nothing happens any more.
struct InstanceHooks {
  std::function<void()> attend;  // Attend follows soon
  std::function<void()> over;    // of an instance that posts: a batch is over
};

// Whether an instance takes work.
struct Standing {
  SteadyTime out_until{};  // it gets no batch before; in the past: it is in service
  Status why;              // what requests are told while no instance of the version is in service
};

class ModelInstance {
 public:
  virtual ~ModelInstance() = default;
  // On the instance's own thread, never twice at a time. May keep the executions and answer later (decoupled models).
  // Requests whose required inputs differ in shape beyond the batch dim never share a batch, unless the input allows ragged batches.
  //
  // An instance that posts: on any thread, also twice at a time; only hands the batch to whoever executes it and never waits for it.
  virtual void Execute(ExecutionBatch batch) = 0;
  virtual bool posts() const { return false; }

  // Before the first Execute.
  virtual void SetHooks(InstanceHooks hooks) { (void)hooks; }
  // On the instance's own thread, between batches: the place to mend it, which may take long. Called again when it was out of service.
  virtual Standing Attend() { return {}; }
  // No further batch comes: an Attend that still works may give up. Any thread.
  virtual void Stop() {}
};

// One loaded version.
class BackendModel {
 public:
  virtual ~BackendModel() = default;
  // On a loader thread.
  virtual Result<std::unique_ptr<ModelInstance>> CreateInstance(const InstanceSpec& spec) = 0;
  // CreateInstance may run on several threads at once, which takes less time.
  virtual bool CreatesInstancesInParallel() const { return false; }
  // Not null for a text model.
  virtual TextGenerator* text_generator() { return nullptr; }
  // Null: inputs may lie anywhere.
  virtual std::shared_ptr<InputMemory> input_memory() { return nullptr; }
  // The version can answer now. Must not block long.
  virtual bool Ready() const { return true; }
};

struct ModelFiles {
  std::string model_name;
  std::int64_t version = 1;
  std::filesystem::path model_folder;    // <repository>/<model>
  std::filesystem::path version_folder;  // <repository>/<model>/<version>
};

class Backend {
 public:
  virtual ~Backend() = default;
  // What AutoComplete has opened and Load can go on with.
  class Opened {
   public:
    virtual ~Opened() = default;
  };
  // Fills what config.pbtxt leaves out (inputs, outputs, max_batch_size, ...), never what it says. On a loader thread. May return null.
  // A mismatch between the config and the files is an error that names both.
  virtual Result<std::unique_ptr<Opened>> AutoComplete(const ModelFiles& files, inference::ModelConfig& config) = 0;
  // On a loader thread; may take long. `config` is complete and outlives the model. `opened` is AutoComplete's, or null.
  virtual Result<std::unique_ptr<BackendModel>> Load(const ModelFiles& files, const inference::ModelConfig& config,
                                                     std::unique_ptr<Opened> opened) = 0;
};

// What the server hands to each backend when it makes it.
struct BackendWorld {
  ComputeArbiter* arbiter = nullptr;
  int cores = 1;
  std::uint64_t memory_bytes = 0;
  std::map<std::string, std::string> options;  // --backend-config=<backend>,<key>=<value>

  std::vector<Home*> homes;  // by InferRequest::home; they outlive the backend
  // For models that use others or count things. Both outlive the backend.
  ModelService* models = nullptr;
  CustomMetrics* metrics = nullptr;
  std::vector<std::string> secret_variables;  // of the environment: not for the processes that a backend starts
};

}  // namespace nereid

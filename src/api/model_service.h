// The models served here. The only way into them, for front ends, ensembles, model-to-model calls and warm-up alike.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/infer.h"
#include "api/text.h"
#include "base/status.h"

namespace inference {
class ModelConfig;
}

namespace nereid {

struct TensorMetadata {
  std::string name;
  Datatype datatype = Datatype::kInvalid;
  Shape shape;  // with a leading -1 when the model batches
};

using Labels = std::map<std::string, std::vector<std::string>, std::less<>>;  // output -> the name of each class

// A loaded version. Holding the pointer keeps the version alive: hold it no longer than the request.
struct ModelInfo {
  std::string name;
  std::int64_t version = 1;
  std::string platform;                // platform, else backend
  std::vector<std::int64_t> versions;  // of all ready versions, ascending
  std::vector<TensorMetadata> inputs, outputs;
  std::shared_ptr<const inference::ModelConfig> config;
  Labels labels;
  std::int64_t max_batch_size = 0;
  bool decoupled = false;
  TextGenerator* text_generator = nullptr;    // null for a model that speaks tensors only
  std::shared_ptr<InputMemory> input_memory;  // null: inputs may lie anywhere
};

struct IndexEntry {
  std::string name;
  std::optional<std::int64_t> version;
  std::string state;  // "READY", "UNAVAILABLE", "LOADING", "UNLOADING", or empty
  std::string reason;
};

struct DurationStat {
  std::uint64_t count = 0, ns = 0;
};
struct BatchStat {
  std::int64_t batch_size = 0;
  DurationStat compute_input, compute_infer, compute_output;
};
struct ResponseStat {
  DurationStat compute_infer, compute_output, success, fail, empty_response, cancel;
};
struct MemoryUsage {
  std::string type;
  std::int64_t id = 0;
  std::uint64_t byte_size = 0;
};
struct ModelStats {
  std::string name;
  std::int64_t version = 1;
  std::uint64_t last_inference_ms = 0;  // since the epoch
  std::uint64_t inference_count = 0, execution_count = 0;
  DurationStat success, fail, queue, compute_input, compute_infer, compute_output, cache_hit, cache_miss;
  std::vector<BatchStat> batches;
  std::map<std::string, ResponseStat> responses;  // by response index, decoupled models
  std::vector<MemoryUsage> memory;
};

struct LoadOptions {
  std::optional<std::string> config_json;                  // replaces config.pbtxt for this load
  std::vector<std::pair<std::string, std::string>> files;  // path relative to the model folder, content
};

class ModelService {
 public:
  virtual ~ModelService() = default;

  // Never blocks; any thread. A refusal comes to the receiver as a final response with `error`.
  virtual void Submit(InferRequest request, std::shared_ptr<InferReceiver> receiver) = 0;

  // Errors carry Triton's texts: unknown model, unknown version, not ready.
  virtual Result<std::shared_ptr<const ModelInfo>> Find(const ModelRef& model) const = 0;
  // Ready text models, for the catalogue.
  virtual std::vector<std::shared_ptr<const ModelInfo>> TextModels() const = 0;

  virtual bool Live() const = 0;
  virtual bool Ready() const = 0;                            // the server, by --strict-readiness
  virtual bool ModelReady(const ModelRef& model) const = 0;  // false for an unknown one, as Triton

  // `done` is called once, on a loader thread (or at once with an error).
  using Done = std::function<void(Result<Nothing>)>;
  virtual void Load(std::string name, LoadOptions options, Done done) = 0;
  virtual void Unload(std::string name, bool unload_dependents, Done done) = 0;

  virtual std::vector<IndexEntry> Index(bool ready_only) const = 0;
  // An empty name: all ready models.
  virtual Result<std::vector<ModelStats>> Statistics(const ModelRef& model) const = 0;
};

}  // namespace nereid

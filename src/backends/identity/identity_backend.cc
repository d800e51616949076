#include "backends/identity/identity_backend.h"

#include <charconv>
#include <condition_variable>
#include <mutex>

#include <fmt/format.h>

#include "proto/model_config.pb.h"

namespace nereid::identity {
namespace {

class Instance final : public ModelInstance {
 public:
  Instance(const inference::ModelConfig& config, Millis delay) : delay_(delay) {
    for (int i = 0; i < config.input_size() && i < config.output_size(); ++i)
      pairs_.emplace_back(config.input(i).name(), config.output(i).name());
  }

  void Execute(ExecutionBatch batch) override {
    ComputeTimes times;
    times.start = times.input_end = std::chrono::steady_clock::now();
    if (delay_ > Millis(0)) {
      // A timed wait that nothing ends early: the model is meant to be slow.
      std::mutex mutex;
      std::condition_variable never;
      std::unique_lock lock(mutex);
      never.wait_until(lock, times.start + delay_, [] { return false; });
    }
    times.output_start = times.end = std::chrono::steady_clock::now();
    for (auto& execution : batch) {
      InferResponse response;
      response.times = times;
      const InferRequest& request = execution->request();
      for (const auto& [input, output] : pairs_) {
        bool wanted = request.requested_outputs.empty();
        for (const auto& name : request.requested_outputs) wanted = wanted || name == output;
        if (!wanted) continue;
        for (const Tensor& tensor : request.inputs) {
          if (tensor.name == input) response.outputs.push_back({output, tensor.datatype, tensor.shape, tensor.data});  // the same bytes
        }
      }
      execution->Send(std::move(response));
    }
  }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
  const Millis delay_;
};

class Model final : public BackendModel {
 public:
  Model(const inference::ModelConfig& config, Millis delay) : config_(config), delay_(delay) {}
  Result<std::unique_ptr<ModelInstance>> CreateInstance(const InstanceSpec& spec) override {
    if (spec.kind == "KIND_GPU")
      return Error(Code::kInvalidArgument,
                   fmt::format("instance group {} of model {} has kind KIND_GPU but no GPUs are available",
                               spec.name.substr(0, spec.name.rfind('_')), config_.name()),
                   "no_gpu");
    return std::make_unique<Instance>(config_, delay_);
  }

 private:
  const inference::ModelConfig& config_;
  const Millis delay_;
};

class IdentityBackend final : public Backend {
 public:
  Result<std::unique_ptr<Opened>> AutoComplete(const ModelFiles&, inference::ModelConfig&) override { return nullptr; }
  Result<std::unique_ptr<BackendModel>> Load(const ModelFiles&, const inference::ModelConfig& config, std::unique_ptr<Opened>) override {
    if (config.input_size() != config.output_size())
      return Error(Code::kInvalidArgument,
                   fmt::format("model '{}' of the identity backend has {} inputs and {} outputs; it needs as many of each", config.name(),
                               config.input_size(), config.output_size()),
                   "bad_model_config");
    for (int i = 0; i < config.input_size(); ++i) {
      if (config.input(i).data_type() != config.output(i).data_type())
        return Error(Code::kInvalidArgument,
                     fmt::format("model '{}' of the identity backend: input '{}' and output '{}' differ in data_type", config.name(),
                                 config.input(i).name(), config.output(i).name()),
                     "bad_model_config");
    }
    Millis delay{0};
    if (auto parameter = config.parameters().find("execute_delay_ms"); parameter != config.parameters().end()) {
      const std::string& text = parameter->second.string_value();
      int value = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || end != text.data() + text.size() || value < 0)
        return Error(
            Code::kInvalidArgument,
            fmt::format("model '{}': the parameter execute_delay_ms is '{}', which is no number of milliseconds", config.name(), text),
            "bad_model_config");
      delay = Millis(value);
    }
    return std::make_unique<Model>(config, delay);
  }
};

}  // namespace

Result<std::unique_ptr<Backend>> CreateIdentityBackend(const std::map<std::string, std::string>&) {
  return std::make_unique<IdentityBackend>();
}

}  // namespace nereid::identity

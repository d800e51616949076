#include "backends/llama/llama_backend.h"

#include <algorithm>
#include <charconv>
#include <exception>

#include <fmt/format.h>

#include "backends/llama/gguf_check.h"
#include "backends/llama/llama_generator.h"
#include "backends/llama/model_file.h"
#include "backends/llama/text_instance.h"
#include "base/log.h"
#include "proto/model_config.pb.h"

namespace nereid {
namespace llama {
namespace {

constexpr int kContextTokensDefault = 8192, kSequencesMax = 64;

Result<std::int64_t> Parameter(const inference::ModelConfig& config, std::string_view name, std::int64_t otherwise, std::int64_t low,
                               std::int64_t high) {
  auto it = config.parameters().find(std::string(name));
  if (it == config.parameters().end()) return otherwise;
  const std::string& text = it->second.string_value();
  std::int64_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc() && end == text.data() + text.size() && value >= low && value <= high) return value;
  return Error(Code::kInvalidArgument,
               fmt::format("parameter '{}' must be a whole number between {} and {}, it is '{}'", name, low, high, text), "invalid_config");
}

Result<EngineLimits> ReadLimits(const inference::ModelConfig& config, int training_tokens) {
  int context_default = training_tokens > 0 ? std::min(training_tokens, kContextTokensDefault) : kContextTokensDefault;
  constexpr std::int64_t kTokensMax = 1 << 24;
  TRY(std::int64_t context_tokens, Parameter(config, "context_tokens", context_default, 8, kTokensMax));
  TRY(std::int64_t cells, Parameter(config, "cache_tokens", context_tokens, context_tokens, kTokensMax));
  TRY(std::int64_t sequences, Parameter(config, "max_sequences", 16, 1, kSequencesMax));
  TRY(std::int64_t waiting, Parameter(config, "max_queue_size", 256, 1, 1 << 20));
  TRY(std::int64_t step_tokens, Parameter(config, "step_tokens", 512, kSequencesMax, 8192));
  EngineLimits limits;
  limits.context_tokens = static_cast<int>(context_tokens);
  limits.cells = static_cast<int>(cells);
  limits.sequences = static_cast<int>(sequences);
  limits.waiting = static_cast<int>(waiting);
  limits.step.tokens = static_cast<int>(step_tokens);
  limits.step.mixed_tokens = std::max(limits.step.tokens / 4, limits.step.chunk_tokens_min);
  return limits;
}

class LlamaModel final : public BackendModel {
 public:
  explicit LlamaModel(std::unique_ptr<LlamaGenerator> generator) : generator_(std::move(generator)) {}
  Result<std::unique_ptr<ModelInstance>> CreateInstance(const InstanceSpec&) override {
    return std::make_unique<TextInstance>(*generator_);
  }
  TextGenerator* text_generator() override { return generator_.get(); }

 private:
  const std::unique_ptr<LlamaGenerator> generator_;
};

void AddTensor(auto* tensor, std::string_view name, inference::DataType type) {
  tensor->set_name(std::string(name));
  tensor->set_data_type(type);
  tensor->add_dims(1);
}

class LlamaBackend final : public Backend {
 public:
  explicit LlamaBackend(const BackendWorld& world) : runtime_(std::make_shared<Runtime>(world.arbiter, world.cores)) {}

  Result<std::unique_ptr<Opened>> AutoComplete(const ModelFiles& files, inference::ModelConfig& config) override {
    TRY_DO(FindModelFile(files, config.default_model_filename()));
    if (config.max_batch_size() > 0) {
      return Error(Code::kInvalidArgument,
                   fmt::format("model '{}': max_batch_size is {}, but the backend llama batches by itself and needs 0", files.model_name,
                               config.max_batch_size()),
                   "invalid_config");
    }
    if (config.backend().empty()) config.set_backend("llama");
    if (config.platform().empty()) config.set_platform("llama");
    if (config.input().empty()) {
      AddTensor(config.add_input(), kTextInput, inference::TYPE_STRING);
      AddTensor(config.add_input(), kStreamInput, inference::TYPE_BOOL);
      config.mutable_input(1)->set_optional(true);
    }
    if (config.output().empty()) AddTensor(config.add_output(), kTextOutput, inference::TYPE_STRING);
    if (!config.has_model_transaction_policy()) config.mutable_model_transaction_policy()->set_decoupled(true);
    if (config.instance_group().empty()) {
      inference::ModelInstanceGroup* group = config.add_instance_group();
      group->set_count(1);
      group->set_kind(inference::ModelInstanceGroup::KIND_CPU);
    }
    return nullptr;
  }

  Result<std::unique_ptr<BackendModel>> Load(const ModelFiles& files, const inference::ModelConfig& config,
                                             std::unique_ptr<Opened>) override {
    try {
      return LoadChecked(files, config);
    } catch (const std::exception& failure) {
      return Error(Code::kInternal, fmt::format("model '{}': llama.cpp threw: {}", files.model_name, failure.what()), "load_failed");
    }
  }

 private:
  Result<std::unique_ptr<BackendModel>> LoadChecked(const ModelFiles& files, const inference::ModelConfig& config) {
    TRY(std::filesystem::path file, FindModelFile(files, config.default_model_filename()));
    TRY_DO(CheckGguf(file));
    TRY(std::unique_ptr<Weights> weights, Weights::Load(file));
    TRY(EngineLimits limits, ReadLimits(config, weights->training_context_tokens()));
    ContextSize size{.cells = limits.cells, .sequences = limits.sequences, .step_tokens = limits.step.tokens};
    TRY(std::unique_ptr<CacheContext> cache, CacheContext::Make(runtime_, *weights, size));
    Result<std::unique_ptr<ChatTemplate>> chat = ChatTemplate::Of(weights->model());
    if (!chat) LOG_WARNING("model '{}': {}: chats are refused, completions work", files.model_name, chat.error().message);
    return std::make_unique<LlamaModel>(
        std::make_unique<LlamaGenerator>(std::move(weights), std::move(chat), std::move(cache), limits, files.model_name));
  }

  const std::shared_ptr<Runtime> runtime_;
};

}  // namespace
}  // namespace llama

std::unique_ptr<Backend> MakeLlamaBackend(const BackendWorld& world) {
  return std::make_unique<llama::LlamaBackend>(world);
}

}  // namespace nereid

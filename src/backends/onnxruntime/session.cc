#include "backends/onnxruntime/session.h"

#include <charconv>

#include <fmt/format.h>

namespace nereid::onnxruntime {
namespace {

std::string Parameter(const inference::ModelConfig& config, const std::string& key) {
  auto found = config.parameters().find(key);
  return found == config.parameters().end() ? std::string() : found->second.string_value();
}

Result<int> IntParameter(const inference::ModelConfig& config, const std::string& key) {
  std::string text = Parameter(config, key);
  int value = 0;
  if (text.empty()) return value;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    return Error(Code::kInvalidArgument, fmt::format("model '{}': the parameter {} is '{}', which is no count", config.name(), key, text),
                 "bad_model_config");
  return value;
}

Port PortOf(std::string name, const Ort::TypeInfo& info) {
  Port port{std::move(name), Datatype::kInvalid, {}};
  if (info.GetONNXType() != ONNX_TYPE_TENSOR) return port;
  auto tensor = info.GetTensorTypeAndShapeInfo();
  port.datatype = DatatypeOf(tensor.GetElementType());
  port.shape = tensor.GetShape();
  for (std::int64_t& dim : port.shape) dim = std::max<std::int64_t>(dim, -1);
  return port;
}

GraphOptimizationLevel LevelOf(const inference::ModelConfig& config) {
  if (!config.optimization().has_graph()) return ORT_ENABLE_ALL;
  switch (config.optimization().graph().level()) {
    case -1: return ORT_ENABLE_BASIC;
    case 1: return ORT_ENABLE_EXTENDED;
    case 2: return ORT_DISABLE_ALL;
    default: return ORT_ENABLE_ALL;
  }
}

}  // namespace

const Port* Session::Output(std::string_view name) const {
  for (const Port& port : outputs) {
    if (port.name == name) return &port;
  }
  return nullptr;
}

Result<std::shared_ptr<Session>> LoadSession(Ort::Env& environment, const std::filesystem::path& file, const inference::ModelConfig& config,
                                             const SessionSettings& settings) {
  std::error_code missing;
  if (!std::filesystem::exists(file, missing))
    return Error(Code::kNotFound, fmt::format("unable to find '{}' for model '{}'", file.string(), config.name()), "no_model_file");
  TRY(int own_threads, IntParameter(config, "intra_op_thread_count"));
  TRY(int inter_threads, IntParameter(config, "inter_op_thread_count"));
  return Guarded(fmt::format("cannot load '{}' of model '{}'", file.string(), config.name()), [&] {
    Ort::SessionOptions options;
    options.SetGraphOptimizationLevel(LevelOf(config));
    if (settings.one_thread) {
      options.SetIntraOpNumThreads(1);
    } else if (own_threads > 0) {
      options.SetIntraOpNumThreads(own_threads);
      options.AddConfigEntry("session.intra_op.allow_spinning", "0");
    } else {
      options.DisablePerSessionThreads();
    }
    if (inter_threads > 1) {
      options.SetExecutionMode(ORT_PARALLEL);
      options.SetInterOpNumThreads(inter_threads);
    }
    for (const auto& [key, value] : config.parameters()) {
      if (key.starts_with("session.") || key.starts_with("optimization."))
        options.AddConfigEntry(key.c_str(), value.string_value().c_str());
    }
    if (settings.cuda) {
      OrtCUDAProviderOptionsV2* cuda = nullptr;
      Ort::ThrowOnError(Ort::GetApi().CreateCUDAProviderOptions(&cuda));
      std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(Ort::GetApi().ReleaseCUDAProviderOptions)> owner(
          cuda, Ort::GetApi().ReleaseCUDAProviderOptions);
      std::string device = std::to_string(settings.device);
      const char* keys[] = {"device_id"};
      const char* values[] = {device.c_str()};
      Ort::ThrowOnError(Ort::GetApi().UpdateCUDAProviderOptions(cuda, keys, values, 1));
      options.AppendExecutionProvider_CUDA_V2(*cuda);
    }
    auto out = std::make_shared<Session>();
    out->session = Ort::Session(environment, file.c_str(), options);
    out->threads = settings.one_thread ? 1 : own_threads > 0 ? own_threads : settings.shared_threads;
    Ort::AllocatorWithDefaultOptions allocator;
    for (std::size_t i = 0; i < out->session.GetInputCount(); ++i)
      out->inputs.push_back(PortOf(out->session.GetInputNameAllocated(i, allocator).get(), out->session.GetInputTypeInfo(i)));
    for (std::size_t i = 0; i < out->session.GetOutputCount(); ++i)
      out->outputs.push_back(PortOf(out->session.GetOutputNameAllocated(i, allocator).get(), out->session.GetOutputTypeInfo(i)));
    return out;
  });
}

}  // namespace nereid::onnxruntime

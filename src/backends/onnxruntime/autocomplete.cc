#include "backends/onnxruntime/autocomplete.h"

#include <algorithm>

#include <fmt/format.h>

namespace nereid::onnxruntime {
namespace {

bool FirstDimVaries(const std::vector<Port>& ports) {
  return std::all_of(ports.begin(), ports.end(), [](const Port& port) { return !port.shape.empty() && port.shape.front() == -1; });
}

template <class Io>
void Fill(Io& io, const Port& port, bool batches) {
  if (io.data_type() == inference::TYPE_INVALID) io.set_data_type(static_cast<inference::DataType>(port.datatype));
  if (io.dims_size() > 0 || io.has_reshape()) return;
  for (std::size_t i = batches ? 1 : 0; i < port.shape.size(); ++i) io.add_dims(port.shape[i]);
  // A config cannot say "no dims": per item it is one element, reshaped to none.
  if (batches && io.dims_size() == 0) {
    io.add_dims(1);
    io.mutable_reshape();
  }
}

std::string Names(const std::vector<Port>& ports) {
  std::string text;
  for (const Port& port : ports) text += (text.empty() ? "" : ", ") + port.name;
  return text;
}

template <class Io>
Result<Nothing> CheckIo(const char* kind, const Io& io, const std::vector<Port>& ports, const inference::ModelConfig& config) {
  auto port = std::find_if(ports.begin(), ports.end(), [&](const Port& p) { return p.name == io.name(); });
  auto wrong = [&](std::string what) {
    return Error(Code::kInvalidArgument, fmt::format("unable to load model '{}', {} '{}': {}", config.name(), kind, io.name(), what),
                 "bad_model_config");
  };
  if (port == ports.end()) return wrong(fmt::format("the model has no such {}, it has: {}", kind, Names(ports)));
  if (static_cast<int>(io.data_type()) != static_cast<int>(port->datatype))
    return wrong(fmt::format("the configuration expects datatype {}, the model provides {}", inference::DataType_Name(io.data_type()),
                             inference::DataType_Name(static_cast<inference::DataType>(port->datatype))));
  Shape shape;
  if (config.max_batch_size() > 0) shape.push_back(-1);
  if (io.has_reshape()) shape.insert(shape.end(), io.reshape().shape().begin(), io.reshape().shape().end());
  else shape.insert(shape.end(), io.dims().begin(), io.dims().end());
  bool fits = shape.size() == port->shape.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] == -1 || port->shape[i] == -1 || shape[i] == port->shape[i];
  if (fits && config.max_batch_size() > 0 && port->shape.front() != -1) fits = false;
  if (!fits)
    return wrong(fmt::format("the model has {} dimensions (shape {}) but the configuration asks for {} (shape {}{})", port->shape.size(),
                             ShapeText(port->shape), shape.size(), ShapeText(shape),
                             config.max_batch_size() > 0 ? ", with the batch dimension that max_batch_size adds" : ""));
  return Nothing{};
}

}  // namespace

void CompleteConfig(const std::vector<Port>& inputs, const std::vector<Port>& outputs, int default_max_batch_size,
                    inference::ModelConfig& config) {
  bool given = config.input_size() > 0 || config.output_size() > 0;
  bool batches = config.max_batch_size() > 0;
  if (!given && config.max_batch_size() == 0 && FirstDimVaries(inputs) && FirstDimVaries(outputs) && default_max_batch_size > 0) {
    config.set_max_batch_size(default_max_batch_size);
    batches = true;
    if (default_max_batch_size > 1 && !config.scheduling_choice_case()) config.mutable_dynamic_batching();
  }
  bool all_inputs = config.input_size() == 0;
  for (const Port& port : inputs) {
    auto found = std::find_if(config.mutable_input()->begin(), config.mutable_input()->end(),
                              [&](const auto& io) { return io.name() == port.name; });
    if (found != config.mutable_input()->end()) {
      Fill(*found, port, batches);
    } else if (all_inputs) {
      auto& io = *config.add_input();
      io.set_name(port.name);
      Fill(io, port, batches);
    }
  }
  bool all_outputs = config.output_size() == 0;
  for (const Port& port : outputs) {
    auto found = std::find_if(config.mutable_output()->begin(), config.mutable_output()->end(),
                              [&](const auto& io) { return io.name() == port.name; });
    if (found != config.mutable_output()->end()) {
      Fill(*found, port, batches);
    } else if (all_outputs) {
      auto& io = *config.add_output();
      io.set_name(port.name);
      Fill(io, port, batches);
    }
  }
}

Result<Nothing> CheckConfig(const std::vector<Port>& inputs, const std::vector<Port>& outputs, const inference::ModelConfig& config) {
  for (const auto& input : config.input()) TRY_DO(CheckIo("input", input, inputs, config));
  for (const auto& output : config.output()) TRY_DO(CheckIo("output", output, outputs, config));
  for (const Port& port : inputs) {
    bool there = std::any_of(config.input().begin(), config.input().end(), [&](const auto& io) { return io.name() == port.name; });
    if (!there)
      return Error(
          Code::kInvalidArgument,
          fmt::format(
              "unable to load model '{}', configuration expects {} inputs, model provides {}: input '{}' is missing in the configuration",
              config.name(), config.input_size(), inputs.size(), port.name),
          "bad_model_config");
  }
  return Nothing{};
}

}  // namespace nereid::onnxruntime

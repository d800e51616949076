#include "backends/llama/text_instance.h"

#include <chrono>
#include <cmath>

#include <fmt/format.h>

namespace nereid::llama {
namespace {

template <class T>
Result<T> Convert(std::string_view name, const ParameterValue& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (auto* text = std::get_if<std::string>(&value)) return *text;
    return Error(Code::kInvalidArgument, fmt::format("parameter '{}' must be a string", name), "invalid_value");
  } else if constexpr (std::is_same_v<T, bool>) {
    if (auto* flag = std::get_if<bool>(&value)) return *flag;
    return Error(Code::kInvalidArgument, fmt::format("parameter '{}' must be a boolean", name), "invalid_value");
  } else {
    double number = 0;
    if (auto* whole = std::get_if<std::int64_t>(&value)) {
      if constexpr (std::is_integral_v<T>) return static_cast<T>(*whole);
      number = static_cast<double>(*whole);
    } else if (auto* natural = std::get_if<std::uint64_t>(&value)) {
      if constexpr (std::is_integral_v<T>) return static_cast<T>(*natural);
      number = static_cast<double>(*natural);
    } else if (auto* real = std::get_if<double>(&value)) {
      number = *real;
    } else {
      return Error(Code::kInvalidArgument, fmt::format("parameter '{}' must be a number", name), "invalid_value");
    }
    if constexpr (std::is_integral_v<T>) {
      if (!(std::abs(number) < 9e15) || number != std::floor(number)) {
        return Error(Code::kInvalidArgument, fmt::format("parameter '{}' must be an integer", name), "invalid_value");
      }
    }
    return static_cast<T>(number);
  }
}

using Setter = Result<Nothing> (*)(TextCommand&, std::string_view, const ParameterValue&);

template <class T, auto kPlace>
Result<Nothing> Set(TextCommand& command, std::string_view name, const ParameterValue& value) {
  TRY(T converted, Convert<T>(name, value));
  kPlace(command) = std::move(converted);
  return Nothing{};
}

Result<Nothing> SetStop(TextCommand& command, std::string_view name, const ParameterValue& value) {
  TRY(std::string stop, Convert<std::string>(name, value));
  command.request.stop.push_back(std::move(stop));
  return Nothing{};
}

Result<Nothing> SetTopK(TextCommand& command, std::string_view name, const ParameterValue& value) {
  TRY(std::int64_t top_k, Convert<std::int64_t>(name, value));
  // vLLM's clients send -1 for "off".
  command.request.sampling.top_k = static_cast<int>(std::clamp<std::int64_t>(top_k, 0, 1 << 30));
  return Nothing{};
}

struct Row {
  std::string_view name;
  Setter set;
};
constexpr Row kParameters[] = {
    {"max_tokens", &Set<std::int64_t, [](TextCommand& c) -> auto& { return c.request.max_tokens; }>},
    {"temperature", &Set<double, [](TextCommand& c) -> auto& { return c.request.sampling.temperature; }>},
    {"top_p", &Set<double, [](TextCommand& c) -> auto& { return c.request.sampling.top_p; }>},
    {"min_p", &Set<double, [](TextCommand& c) -> auto& { return c.request.sampling.min_p; }>},
    {"top_k", &SetTopK},
    {"seed", &Set<std::uint64_t, [](TextCommand& c) -> auto& { return c.request.sampling.seed; }>},
    {"frequency_penalty", &Set<double, [](TextCommand& c) -> auto& { return c.request.sampling.frequency_penalty; }>},
    {"presence_penalty", &Set<double, [](TextCommand& c) -> auto& { return c.request.sampling.presence_penalty; }>},
    {"repeat_penalty", &Set<double, [](TextCommand& c) -> auto& { return c.request.sampling.repeat_penalty; }>},
    {"stop", &SetStop},
    {"ignore_eos", &Set<bool, [](TextCommand& c) -> auto& { return c.request.ignore_eos; }>},
    {"echo", &Set<bool, [](TextCommand& c) -> auto& { return c.request.echo; }>},
    {"stream", &Set<bool, [](TextCommand& c) -> auto& { return c.stream; }>},
};

Tensor TextTensor(std::string_view text) {
  std::string wire;
  AppendBytesElement(wire, text);
  return {.name = std::string(kTextOutput), .datatype = Datatype::kBytes, .shape = {1}, .data = Bytes::Own(std::move(wire))};
}

// Turns the engine's events into responses; owns the request until its final response.
class ExecutionReceiver final : public TextReceiver {
 public:
  ExecutionReceiver(std::unique_ptr<Execution> execution, bool stream)
      : execution_(std::move(execution)), stream_(stream), start_(std::chrono::steady_clock::now()) {}

  Pushed Push(TextEvent&& event) override {
    if (event.error) return Fail(*event.error);
    if (!stream_) {
      whole_ += event.text;
      if (!event.final) return Pushed::kTaken;
      return Send(whole_, true);
    }
    if (event.text.empty() && !event.final) return Pushed::kTaken;
    return Send(event.text, event.final);
  }

  void OnRoom(std::function<void()> wake) override { execution_->OnRoom(std::move(wake)); }

  Pushed Fail(Status status) {
    InferResponse response;
    response.error = std::move(status);
    return Finish(std::move(response));
  }

 private:
  Pushed Send(std::string_view text, bool final) {
    InferResponse response;
    response.final = final;
    response.empty = final && stream_ && text.empty();
    if (!response.empty) response.outputs.push_back(TextTensor(text));
    if (final) return Finish(std::move(response));
    return execution_->Send(std::move(response));
  }

  Pushed Finish(InferResponse response) {
    SteadyTime now = std::chrono::steady_clock::now();
    response.final = true;
    response.times = ComputeTimes{.start = start_, .input_end = start_, .output_start = now, .end = now};
    return execution_->Send(std::move(response));
  }

  const std::unique_ptr<Execution> execution_;
  const bool stream_;
  const SteadyTime start_;
  std::string whole_;  // bounded by the context
};

Result<std::string> OneText(const Tensor& tensor) {
  TRY(std::vector<std::string_view> elements, SplitBytes(tensor.data.view()));
  if (elements.size() == 1) return std::string(elements.front());
  return Error(Code::kInvalidArgument, fmt::format("input '{}' must have exactly one element, it has {}", tensor.name, elements.size()),
               "invalid_value");
}

}  // namespace

Result<TextCommand> ReadTextCommand(const InferRequest& request) {
  TextCommand command;
  command.request.request_id = request.request_id;
  command.request.deadline = request.deadline;
  command.request.cancellation = request.cancellation;
  for (const auto& [name, value] : request.parameters) {
    for (const Row& row : kParameters) {
      if (row.name == name) TRY_DO(row.set(command, name, value));
    }
  }
  for (const Tensor& input : request.inputs) {
    if (input.name == kTextInput) {
      TRY(command.request.prompt, OneText(input));
    } else if (input.name == kStreamInput) {
      if (input.data.size() != 1) return Error(Code::kInvalidArgument, "input 'stream' must have exactly one element", "invalid_value");
      command.stream = *input.data.data() != 0;
    }
  }
  if (!command.request.prompt) return Error(Code::kInvalidArgument, "input 'text_input' is missing", "invalid_value");
  return command;
}

void TextInstance::Execute(ExecutionBatch batch) {
  for (std::unique_ptr<Execution>& execution : batch) {
    Result<TextCommand> command = ReadTextCommand(execution->request());
    auto receiver = std::make_shared<ExecutionReceiver>(std::move(execution), !command || command->stream);
    if (!command) {
      receiver->Fail(std::move(command).error());
    } else {
      generator_.Generate(std::move(command->request), std::move(receiver));
    }
  }
}

}  // namespace nereid::llama

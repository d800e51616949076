#include "backends/python/nested_calls.h"

#include <fmt/format.h>

#include "backends/python/nested_answers.h"
#include "proto/model_config.pb.h"

namespace nereid::python {

void NestedCalls::Handle(Said said, PackReader& reader, const Message& message, const FindParent& parent) {
  std::uint64_t call = reader.Uint();
  switch (said) {
    case Said::kInfer: return Infer(call, reader, message, parent);
    case Said::kCancel:
      if (auto answers = Find(call)) answers->Cancel();
      return;
    case Said::kCredit: {
      auto read = static_cast<int>(reader.Int());
      if (auto answers = Find(call)) answers->OnRead(read);
      return;
    }
    case Said::kMetric: return Metric(call, reader);
    case Said::kLoad: return Load(call, reader);
    case Said::kUnload: return Unload(call, reader);
    case Said::kModelReady: return ModelReady(call, reader);
    default: return Refuse(call, Code::kUnsupported, "the server does not know this call");
  }
}

void NestedCalls::Stop() {
  std::map<std::uint64_t, std::shared_ptr<NestedAnswers>> calls;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    calls.swap(calls_);
    metrics_.clear();
  }
  for (auto& [call, answers] : calls) answers->Cancel();
}

std::shared_ptr<NestedAnswers> NestedCalls::Find(std::uint64_t call) {
  std::lock_guard lock(mutex_);
  auto found = calls_.find(call);
  return found == calls_.end() ? nullptr : found->second;
}

void NestedCalls::Forget(std::uint64_t call) {
  std::lock_guard lock(mutex_);
  calls_.erase(call);
}

bool NestedCalls::Reply(std::uint64_t call, bool last, const Status* error, std::string_view result, const std::vector<Tensor>& tensors) {
  if (last) Forget(call);
  PackWriter writer;
  writer.Array(4).Uint(call).Bool(last);
  if (error) writer.Array(2).Int(TritonCodeOf(error->code)).Text(error->message);
  else writer.Nil();
  if (result.empty()) writer.Nil();
  else writer.Packed(result);
  std::vector<TensorPlace> places;
  std::size_t size = LayOut(nullptr, tensors, 0, places);
  Channel::Draft draft = channel_->Begin(writer.bytes(), size);
  if (!draft.content) return false;
  HandOver(tensors, places.data(), draft.tensors);
  channel_->PushReply(draft);
  return true;
}

void NestedCalls::Refuse(std::uint64_t call, Code code, std::string text) {
  Status error{code, std::move(text), "refused", ""};
  Reply(call, true, &error, {});
}

// ---------------------------------------------------------------- inference

void NestedCalls::Infer(std::uint64_t call, PackReader& reader, const Message& message, const FindParent& find_parent) {
  InferRequest request;
  request.model.name = reader.Text();
  request.model.version = reader.Int();
  request.client_id = reader.Text();
  if (reader.Next() == PackReader::Kind::kText) request.correlation_id = std::string(reader.Text());
  else request.correlation_id = reader.Uint();
  std::int64_t flags = reader.Int();
  request.sequence_start = flags & 1;
  request.sequence_end = flags & 2;
  request.timeout_us = reader.Uint();
  auto parameters = ReadParametersJson(reader.Text());
  for (std::size_t count = reader.Array(); count > 0; --count) request.requested_outputs.emplace_back(reader.Text());
  auto inputs = ReadTensors(reader, message);
  bool decoupled = reader.Bool();
  std::uint64_t parent_id = reader.Uint();
  if (!reader.ok()) return;
  if (!parameters) return Refuse(call, parameters.error().code, parameters.error().message);
  if (!inputs) return Refuse(call, inputs.error().code, inputs.error().message);
  request.parameters = *std::move(parameters);
  request.inputs = *std::move(inputs);

  const std::string model = request.model.name;
  auto info = world_.models->Find(request.model);
  if (!info || !world_.models->ModelReady(request.model))
    return Refuse(call, Code::kUnavailable, fmt::format("Failed for execute the inference request. Model '{}' is not ready.", model));
  if ((*info)->decoupled && !decoupled)
    return Refuse(
        call, Code::kInvalidArgument,
        fmt::format(
            "Model {} is using the decoupled. The current BLS request call doesn't support models using the decoupled transaction policy. "
            "Please use 'decoupled=True' argument to the 'exec' or 'async_exec' calls for decoupled models.'",
            model));
  // The asking worker can still write where its tensors lie. To another worker that means nothing, to code in this process it could.
  if ((*info)->config->backend() != "python") {
    for (Tensor& tensor : request.inputs) tensor.data = Bytes::Own(std::string(tensor.data.view()));
  }
  request.request_id = NewRequestId(SystemClock().Wall());
  request.arrival = std::chrono::steady_clock::now();
  auto answers = std::make_shared<NestedAnswers>(weak_from_this(), call, model, request.cancellation);
  if (auto parent = find_parent(parent_id)) {
    request.deadline = parent->deadline;
    parent->cancellation.OnCancel([weak = std::weak_ptr(answers)] {
      if (auto alive = weak.lock()) alive->Cancel();
    });
  }
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    calls_[call] = answers;
  }
  answers->Submit(*world_.models, std::move(request));
}

// ---------------------------------------------------------------- models

ModelService::Done NestedCalls::ReplyWhenDone(std::uint64_t call) {
  return [weak = weak_from_this(), call](Result<Nothing> done) {
    auto self = weak.lock();
    if (!self) return;
    if (done) self->Reply(call, true, nullptr, {});
    else self->Refuse(call, done.error().code, done.error().message);
  };
}

void NestedCalls::Load(std::uint64_t call, PackReader& reader) {
  LoadOptions options;
  reader.Array();
  std::string model(reader.Text());
  if (std::string_view config = reader.Text(); !config.empty()) options.config_json = config;
  for (std::size_t count = reader.Array(); count > 0; --count) {
    reader.Array();
    std::string_view path = reader.Text();
    if (path.starts_with("file:")) path.remove_prefix(5);
    options.files.emplace_back(path, reader.Text());
  }
  if (reader.ok()) world_.models->Load(std::move(model), std::move(options), ReplyWhenDone(call));
}

void NestedCalls::Unload(std::uint64_t call, PackReader& reader) {
  reader.Array();
  std::string model(reader.Text());
  bool dependents = reader.Bool();
  if (reader.ok()) world_.models->Unload(std::move(model), dependents, ReplyWhenDone(call));
}

void NestedCalls::ModelReady(std::uint64_t call, PackReader& reader) {
  reader.Array();
  ModelRef model{std::string(reader.Text()), reader.Int()};
  if (!reader.ok()) return;
  PackWriter result;
  result.Bool(world_.models->ModelReady(model));
  Reply(call, true, nullptr, result.bytes());
}

// ---------------------------------------------------------------- metrics

void NestedCalls::Metric(std::uint64_t call, PackReader& reader) {
  std::size_t fields = reader.Array();
  std::string_view what = reader.Text();
  auto reply = [&](Result<std::string> result) {
    if (call == 0) return;  // nobody waits for it
    if (result) Reply(call, true, nullptr, *result);
    else Refuse(call, result.error().code, result.error().message);
  };
  auto find = [this](std::uint64_t id) {
    std::lock_guard lock(mutex_);
    auto found = metrics_.find(id);
    return found == metrics_.end() ? nullptr : found->second;
  };
  if (what == "family" && fields == 4) {
    std::string name(reader.Text()), help(reader.Text());
    auto kind = static_cast<MetricKind>(reader.Uint() % 3);
    if (!reader.ok()) return;
    auto declared = world_.metrics->Declare(name, help, kind);
    reply(declared ? Result<std::string>("") : std::unexpected(declared.error()));
  } else if (what == "metric" && fields == 4) {
    auto made = NewMetric(reader);
    if (!reader.ok()) return;
    reply(made ? Result<std::string>(PackWriter().Uint(*made).bytes()) : std::unexpected(made.error()));
  } else if (what == "change" && fields == 4) {
    auto metric = find(reader.Uint());
    std::uint64_t how = reader.Uint();
    double value = reader.Float();
    if (!reader.ok() || !metric) return;
    if (how == 0) metric->Increment(value);
    else if (how == 1) metric->Set(value);
    else metric->Observe(value);
  } else if (what == "value" && fields == 2) {
    auto metric = find(reader.Uint());
    if (metric) reply(PackWriter().Float(metric->value()).bytes());
    else reply(Error(Code::kNotFound, "the metric is not there any more", "bad_metric"));
  } else if (what == "drop" && fields == 2) {
    std::uint64_t id = reader.Uint();
    std::lock_guard lock(mutex_);
    metrics_.erase(id);
  } else {
    reply(Error(Code::kUnsupported, "the server does not know this call about metrics", "bad_metric"));
  }
}

Result<std::uint64_t> NestedCalls::NewMetric(PackReader& reader) {
  std::string family(reader.Text());
  CustomMetrics::Labels labels;
  for (std::size_t count = reader.Array(); count > 0; --count) {
    reader.Array();
    std::string name(reader.Text());
    labels.emplace_back(std::move(name), reader.Text());
  }
  std::vector<double> buckets;
  for (std::size_t count = reader.Array(); count > 0; --count) buckets.push_back(reader.Float());
  if (!reader.ok()) return 0;
  TRY(auto metric, world_.metrics->Get(family, std::move(labels), std::move(buckets)));
  std::lock_guard lock(mutex_);
  if (stopped_) return 0;
  if (metrics_.size() >= kMetricsMost)
    return Error(Code::kUnavailable, fmt::format("one instance may hold {} metrics, and it does", kMetricsMost), "bad_metric");
  metrics_[next_metric_] = std::move(metric);
  return next_metric_++;
}

}  // namespace nereid::python

#include "backends/onnxruntime/instance.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace nereid::onnxruntime {
namespace {

const Tensor* Find(const InferRequest& request, std::string_view name) {
  for (const Tensor& tensor : request.inputs) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

// A STRING tensor in wire form: each element with its length.
Result<Bytes> StringsToWire(const Ort::Value& value) {
  std::size_t count = value.GetTensorTypeAndShapeInfo().GetElementCount();
  std::string wire;
  for (std::size_t i = 0; i < count; ++i) AppendBytesElement(wire, value.GetStringTensorElement(i));
  return Bytes::Own(std::move(wire));
}

// A run this short is not worth waking other cores for.
constexpr Micros kQuick{200};

// One core gains little from more rows at once, and loses its caches to them (Magika: 8 % at 15 rows).
constexpr std::int64_t kNarrowRows = 8;

// How many from the front have at most `rows` rows together; at least one.
std::size_t CountOfRows(const ExecutionBatch& batch, std::int64_t rows) {
  std::size_t count = 1;
  std::int64_t sum = batch.front()->batch_size();
  while (count < batch.size() && (sum += batch[count]->batch_size()) <= rows) ++count;
  return count;
}

}  // namespace

Instance::Instance(std::shared_ptr<Session> session, const inference::ModelConfig& config, ComputeArbiter& arbiter)
    : session_(std::move(session)),
      arbiter_(arbiter),
      memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)),
      batches_(config.max_batch_size() > 0) {
  for (const auto& input : config.input()) inputs_.push_back({input.name(), static_cast<Datatype>(input.data_type())});
  for (const auto& output : config.output()) outputs_.push_back({output.name(), static_cast<Datatype>(output.data_type())});
}

void Instance::Execute(ExecutionBatch batch) {
  std::erase_if(batch, [](auto& execution) {
    if (!execution->cancelled()) return false;
    InferResponse response;
    response.error = Status{Code::kCancelled, "the request was cancelled", "cancelled", ""};
    execution->Send(std::move(response));
    return true;
  });
  if (batch.empty()) return;
  Claim claim = ClaimCores();
  for (;; claim = Claim{claim.session, arbiter_.Acquire(1)}) {
    std::size_t count = claim.session == session_.get() ? batch.size() : CountOfRows(batch, kNarrowRows);
    auto end = batch.begin() + static_cast<std::ptrdiff_t>(count);
    ExecutionBatch part(std::make_move_iterator(batch.begin()), std::make_move_iterator(end));
    batch.erase(batch.begin(), end);
    ExecutePart(std::move(part), std::move(claim.cores), *claim.session);
    if (batch.empty()) return;
  }
}

void Instance::ExecutePart(ExecutionBatch batch, ComputeArbiter::Hold cores, Session& session) {
  ComputeTimes times;
  times.start = std::chrono::steady_clock::now();
  auto done = Guarded("onnx runtime error", [&] { return Run(batch, std::move(cores), session, times); });
  Result<Nothing> result = done ? std::move(*done) : Result<Nothing>(std::unexpected(std::move(done).error()));
  if (result) return;
  times.end = std::chrono::steady_clock::now();
  for (auto* each : {&times.input_end, &times.output_start}) {
    if (*each == SteadyTime{}) *each = times.end;
  }
  for (auto& execution : batch) {
    if (!execution) continue;  // answered already
    InferResponse response;
    response.error = result.error();
    response.times = times;
    execution->Send(std::move(response));
  }
}

Result<Nothing> Instance::Run(ExecutionBatch& batch, ComputeArbiter::Hold cores, Session& session, ComputeTimes& times) {
  TRY(Gathered in, Gather(batch));
  std::vector<const char*> wanted = WantedOutputs(batch);
  times.input_end = std::chrono::steady_clock::now();
  std::vector<Ort::Value> out =
      session.session.Run(Ort::RunOptions{nullptr}, in.names.data(), in.values.data(), in.values.size(), wanted.data(), wanted.size());
  cores.Release();
  times.output_start = std::chrono::steady_clock::now();
  quick_ = times.output_start - times.input_end < kQuick;
  return Scatter(batch, wanted, std::move(out), times);
}

Instance::Claim Instance::ClaimCores() {
  if (!session_->narrow) return {session_.get(), arbiter_.Acquire(session_->threads)};
  if (quick_) return {session_->narrow.get(), arbiter_.Acquire(1)};
  if (auto all = arbiter_.TryAcquire(session_->threads)) return {session_.get(), *std::move(all)};
  return {session_->narrow.get(), arbiter_.Acquire(1)};
}

Result<Instance::Gathered> Instance::Gather(const ExecutionBatch& batch) const {
  Gathered out;
  for (const Io& io : inputs_) {
    const Tensor* first = Find(batch.front()->request(), io.name);
    if (!first) continue;  // optional: the same ones are missing in all of a batch
    Shape shape = first->shape;
    std::size_t bytes = 0;
    std::int64_t rows = 0;
    for (const auto& execution : batch) {
      const Tensor* tensor = Find(execution->request(), io.name);
      if (!tensor) return Error(Code::kInternal, fmt::format("input '{}' is missing in one request of a batch", io.name));
      bytes += tensor->data.size();
      rows += execution->batch_size();
    }
    if (batches_ && !shape.empty()) shape.front() = rows;
    out.names.push_back(io.name.c_str());
    if (io.datatype == Datatype::kBytes) {
      Ort::AllocatorWithDefaultOptions allocator;
      Ort::Value value = Ort::Value::CreateTensor(allocator, shape.data(), shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
      std::size_t at = 0;
      for (const auto& execution : batch) {
        TRY(auto elements, SplitBytes(Find(execution->request(), io.name)->data.view()));
        for (std::string_view element : elements) {
          char* room = value.GetResizedStringTensorElementBuffer(at++, element.size());
          std::memcpy(room, element.data(), element.size());
        }
      }
      out.values.push_back(std::move(value));
      continue;
    }
    const char* data = first->data.data();
    if (batch.size() > 1) {
      TRY(OutputAllocator::Buffer buffer, HeapAllocator().Allocate(io.name, bytes));
      char* to = buffer.data;
      for (const auto& execution : batch) {
        const Bytes& part = Find(execution->request(), io.name)->data;
        std::memcpy(to, part.data(), part.size());
        to += part.size();
      }
      data = buffer.data;
      out.owners.push_back(buffer.owner);
    }
    // One request's bytes are taken where they are: ONNX Runtime does not write to inputs.
    out.values.push_back(
        Ort::Value::CreateTensor(memory_, const_cast<char*>(data), bytes, shape.data(), shape.size(), ElementTypeOf(io.datatype)));
  }
  return out;
}

std::vector<const char*> Instance::WantedOutputs(const ExecutionBatch& batch) const {
  std::vector<const char*> wanted;
  for (const Io& io : outputs_) {
    bool asked = std::any_of(batch.begin(), batch.end(), [&](const auto& execution) {
      const auto& names = execution->request().requested_outputs;
      return names.empty() || std::find(names.begin(), names.end(), io.name) != names.end();
    });
    if (asked) wanted.push_back(io.name.c_str());
  }
  return wanted;
}

Result<Nothing> Instance::Scatter(ExecutionBatch& batch, const std::vector<const char*>& names, std::vector<Ort::Value> values,
                                  ComputeTimes& times) const {
  struct Output {
    Tensor whole;
    std::size_t row_bytes = 0;
    std::vector<std::size_t> ends;  // of BYTES: where each row ends
  };
  std::int64_t rows = 0;
  for (const auto& execution : batch) rows += execution->batch_size();
  std::vector<Output> outputs;
  for (std::size_t i = 0; i < values.size(); ++i) {
    Output output;
    auto info = values[i].GetTensorTypeAndShapeInfo();
    output.whole = {names[i], DatatypeOf(info.GetElementType()), info.GetShape(), {}};
    if (output.whole.datatype == Datatype::kInvalid)
      return Error(Code::kUnsupported, fmt::format("output '{}' has a datatype that KServe does not have", names[i]));
    if (batches_ && (output.whole.shape.empty() || output.whole.shape.front() != rows))
      return Error(Code::kInternal, fmt::format("output '{}' has shape {}, which has no batch dimension of {}", names[i],
                                                ShapeText(output.whole.shape), rows));
    if (output.whole.datatype == Datatype::kBytes) {
      TRY(output.whole.data, StringsToWire(values[i]));
      if (batches_) {
        TRY(auto elements, SplitBytes(output.whole.data.view()));
        std::size_t per_row = rows > 0 ? elements.size() / static_cast<std::size_t>(rows) : 0, end = 0;
        for (std::size_t e = 0; e < elements.size(); ++e) {
          end += 4 + elements[e].size();
          if ((e + 1) % per_row == 0) output.ends.push_back(end);
        }
      }
    } else {
      std::size_t bytes = info.GetElementCount() * ElementBytes(output.whole.datatype);
      // The answer's bytes are ONNX Runtime's own memory, kept until the last response has left.
      auto owner = std::make_shared<Ort::Value>(std::move(values[i]));
      output.whole.data = Bytes(owner, owner->GetTensorRawData(), bytes);
      if (rows > 0) output.row_bytes = bytes / static_cast<std::size_t>(rows);
    }
    outputs.push_back(std::move(output));
  }
  times.end = std::chrono::steady_clock::now();
  std::int64_t row = 0;
  for (auto& execution : batch) {
    InferResponse response;
    response.times = times;
    const auto& asked = execution->request().requested_outputs;
    std::int64_t size = execution->batch_size();
    for (const Output& output : outputs) {
      if (!asked.empty() && std::find(asked.begin(), asked.end(), output.whole.name) == asked.end()) continue;
      Tensor tensor = output.whole;
      if (batches_ && batch.size() > 1) {
        tensor.shape.front() = size;
        auto at = static_cast<std::size_t>(row), count = static_cast<std::size_t>(size);
        if (output.whole.datatype == Datatype::kBytes) {
          std::size_t from = at == 0 ? 0 : output.ends[at - 1];
          tensor.data = output.whole.data.Slice(from, count == 0 ? 0 : output.ends[at + count - 1] - from);
        } else {
          tensor.data = output.whole.data.Slice(at * output.row_bytes, count * output.row_bytes);
        }
      }
      response.outputs.push_back(std::move(tensor));
    }
    row += size;
    execution->Send(std::move(response));
    execution.reset();
  }
  return Nothing{};
}

}  // namespace nereid::onnxruntime

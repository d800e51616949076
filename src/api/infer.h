// A tensor request on its way into a model and the answers on their way back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/tensor.h"
#include "base/cancellation.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/status.h"

namespace nereid {

struct ModelRef {
  std::string name;
  std::int64_t version = -1;  // -1: the newest that is ready
};

// Where a backend writes an output. Called on the backend's thread; the memory must live as long as the Bytes made of it.
class OutputAllocator {
 public:
  virtual ~OutputAllocator() = default;
  struct Buffer {
    std::shared_ptr<void> owner;
    char* data = nullptr;
    std::size_t size = 0;
  };
  // 64-byte aligned. Fails with kInvalidArgument when a client's region is too small.
  virtual Result<Buffer> Allocate(std::string_view output_name, std::size_t bytes) = 0;
};

// Plain heap memory, 64-byte aligned. Lives for ever; any thread.
OutputAllocator& HeapAllocator();

// Where the inputs of a model are best received to, since its backend reads them there. Any thread; also after the model's end.
class InputMemory {
 public:
  virtual ~InputMemory() = default;
  // 64-aligned. A tensor whose Bytes the pointer owns is not copied on its way into the model, which may write to it once it has it.
  // Null: there is none now; any other memory will do.
  virtual std::shared_ptr<char> Allocate(std::size_t bytes) = 0;
};

// A thread that requests come from and that their answers had best come back to: who wakes it directly saves a thread between.
class Home {
 public:
  virtual ~Home() = default;
  // Calls `call` on the home's thread whenever the eventfd `event` was written, until the returned handle is gone (on any thread; a call
  // may be under way then). The home owns the descriptor and does not read it.
  virtual std::shared_ptr<void> Watch(int event, std::function<void()> call) = 0;
};

struct InferRequest {
  RequestId request_id;
  std::string client_id;  // Triton's `id`: only echoed and named in errors
  ModelRef model;
  std::vector<Tensor> inputs;
  std::vector<std::string> requested_outputs;  // empty: all
  Parameters parameters;                       // without the reserved ones below

  std::variant<std::uint64_t, std::string> correlation_id = std::uint64_t{0};
  bool sequence_start = false, sequence_end = false;
  std::uint64_t priority = 0;    // 0: the model's default
  std::uint64_t timeout_us = 0;  // in the queue; 0: the model's default

  // The body is one tensor whose shape the model gives (Inference-Header-Content-Length: 0): `inputs` has one, unnamed.
  bool raw = false;

  int home = -1;  // of BackendWorld::homes: the thread it came from; -1: none of them

  Deadline deadline;
  Cancellation cancellation;
  SteadyTime arrival{};                  // when its head was read: the start of nv_inference_request_duration_us
  OutputAllocator* allocator = nullptr;  // nullptr: HeapAllocator(); must outlive the answer
};

// Batch-wide times of one execution, for statistics.
struct ComputeTimes {
  SteadyTime start{};         // the batch was handed to the instance
  SteadyTime input_end{};     // inputs gathered, compute begins
  SteadyTime output_start{};  // compute ended
  SteadyTime end{};           // outputs ready
};

struct InferResponse {
  std::string model_name;  // filled by models/ when empty
  std::int64_t model_version = 0;
  std::string client_id;  // filled by models/
  Parameters parameters;
  std::vector<Tensor> outputs;
  std::optional<Status> error;
  bool final = true;   // the last one for its request; a final response may have no outputs at all (decoupled models)
  bool empty = false;  // carries only the final mark
  std::optional<ComputeTimes> times;
};

enum class Pushed : std::uint8_t {
  kTaken,
  kFull,  // not taken: wait for OnRoom. A final response is always taken.
  kGone,  // nobody listens any more; stop producing
};

// The receiving end of a stream of answers; bounded in bytes. Any thread.
template <class T>
class Receiver {
 public:
  virtual ~Receiver() = default;
  // Moves from `item` only when it answers kTaken.
  virtual Pushed Push(T&& item) = 0;
  // Calls `wake` once, from any thread, when there is room again after a kFull.
  virtual void OnRoom(std::function<void()> wake) = 0;
};

using InferReceiver = Receiver<InferResponse>;

}  // namespace nereid

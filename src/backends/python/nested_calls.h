// What a model asks of the server: inference of other models, loading, metrics. The requests come with Said; each answer is a reply
// [call, last, error or nil, result].
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/backend.h"
#include "api/model_service.h"
#include "backends/python/channel.h"
#include "backends/python/messages.h"
#include "metrics/custom_metrics.h"

namespace nereid::python {

class NestedAnswers;

// Of one worker. Any thread.
class NestedCalls : public std::enable_shared_from_this<NestedCalls> {
 public:
  // The request on whose behalf a model calls another.
  struct Parent {
    Deadline deadline;
    Cancellation cancellation;
  };
  static constexpr std::size_t kMetricsMost = 10'000;
  using FindParent = std::function<std::optional<Parent>(std::uint64_t request)>;

  NestedCalls(const BackendWorld& world, std::shared_ptr<Channel> channel) : world_(world), channel_(std::move(channel)) {}

  // `reader` stands behind the message's kind.
  void Handle(Said said, PackReader& reader, const Message& message, const FindParent& parent);
  // The worker has ended: what it asked for is cancelled, its metrics go.
  void Stop();

  // `result` is packed already; empty: nil. False: there is no room in the shared memory.
  bool Reply(std::uint64_t call, bool last, const Status* error, std::string_view result, const std::vector<Tensor>& tensors = {});
  void Refuse(std::uint64_t call, Code code, std::string text);

 private:
  void Infer(std::uint64_t call, PackReader& reader, const Message& message, const FindParent& parent);
  void Load(std::uint64_t call, PackReader& reader);
  void Unload(std::uint64_t call, PackReader& reader);
  void ModelReady(std::uint64_t call, PackReader& reader);

  void Metric(std::uint64_t call, PackReader& reader);
  Result<std::uint64_t> NewMetric(PackReader& reader);

  ModelService::Done ReplyWhenDone(std::uint64_t call);

  std::shared_ptr<NestedAnswers> Find(std::uint64_t call);
  void Forget(std::uint64_t call);

  const BackendWorld world_;
  const std::shared_ptr<Channel> channel_;
  std::mutex mutex_;
  bool stopped_ = false;                                           // guarded by mutex_
  std::map<std::uint64_t, std::shared_ptr<NestedAnswers>> calls_;  // inferences under way; guarded by mutex_
  std::map<std::uint64_t, CustomMetrics::Handle> metrics_;         // guarded by mutex_
  std::uint64_t next_metric_ = 1;                                  // guarded by mutex_
};

}  // namespace nereid::python

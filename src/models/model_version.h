// A loaded version: its config, what the backend made of it, its scheduler and its numbers.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "api/backend.h"
#include "api/model_service.h"
#include "models/repository/repository.h"
#include "models/reshape.h"
#include "models/scheduler/scheduler.h"
#include "models/statistics.h"
#include "models/validate.h"

namespace nereid::models {

struct VersionWorld {
  InflightBytes* inflight = nullptr;
  const Clock* clock = nullptr;
  Home* home = nullptr;  // see SchedulerSetup
};

class ModelVersion {
 public:
  // Loads; on a loader thread, may take long. `backend` outlives the version.
  static Result<std::shared_ptr<ModelVersion>> Load(const PolledModel& polled, std::int64_t version, Backend& backend, bool auto_complete,
                                                    const VersionWorld& world);
  ~ModelVersion();

  void Submit(InferRequest request, std::shared_ptr<InferReceiver> receiver);
  // Drains and ends; on a loader thread. The last reference may be dropped anywhere after it.
  void Stop();

  // Also during and after Stop.
  bool Ready() const;
  const std::shared_ptr<const ModelInfo>& info() const { return info_; }
  // The versions list in the info is the model's, not ours: renewed when versions come and go. Before the version is reachable, or under
  // the server's lock.
  void SetVersions(std::vector<std::int64_t> versions);
  const std::shared_ptr<Statistics>& statistics() const { return statistics_; }
  double load_seconds() const { return load_seconds_; }

 private:
  ModelVersion() = default;

  std::int64_t number_ = 1;
  std::shared_ptr<const inference::ModelConfig> config_;
  std::shared_ptr<const ModelInfo> info_;
  mutable std::mutex model_mutex_;
  std::unique_ptr<BackendModel> model_;  // guarded by model_mutex_ once it is loaded
  std::unique_ptr<RequestRules> rules_;
  std::shared_ptr<const Reshapes> reshapes_;
  std::shared_ptr<Statistics> statistics_ = std::make_shared<Statistics>();
  std::unique_ptr<Scheduler> scheduler_;
  double load_seconds_ = 0;
};

}  // namespace nereid::models

// The models of this server: which are there, which are ready, how they come and go.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/backend.h"
#include "api/model_service.h"
#include "config/config.h"
#include "models/model_version.h"
#include "models/repository/repository.h"

namespace nereid::models {

// Makes a backend; called once, at the first model that needs it. `options` are those of --backend-config.
using BackendFactory = std::function<Result<std::unique_ptr<Backend>>(const std::map<std::string, std::string>& options)>;

class ModelServer final : public ModelService {
 public:
  // `config`, `clock` outlive the server. `inflight_bytes_max` bounds what queued requests hold over all models.
  // `homes`: threads that may do a little for the schedulers; may be empty.
  ModelServer(const ModelsConfig& config, std::map<std::string, BackendFactory> backends, std::uint64_t inflight_bytes_max,
              const Clock& clock, std::vector<Home*> homes = {});
  ~ModelServer() override;

  // Looks at the repositories and loads what the control mode says; blocks until all of it is loaded or has failed. The error is the text
  // after "error: creating server: ". `progress` may be empty.
  Result<Nothing> Start();
  // Every version that may be asked for is drained and unloaded.
  void Stop();
  // Readiness fails from now on; requests are still served.
  void BeginShutdown();

  void Submit(InferRequest request, std::shared_ptr<InferReceiver> receiver) override;
  Result<std::shared_ptr<const ModelInfo>> Find(const ModelRef& model) const override;
  std::vector<std::shared_ptr<const ModelInfo>> TextModels() const override;
  bool Live() const override;
  bool Ready() const override;
  bool ModelReady(const ModelRef& model) const override;
  void Load(std::string name, LoadOptions options, Done done) override;
  void Unload(std::string name, bool unload_dependents, Done done) override;
  std::vector<IndexEntry> Index(bool ready_only) const override;
  Result<std::vector<ModelStats>> Statistics(const ModelRef& model) const override;

  // Each version that has been ready since the start or its last load, for the metrics.
  struct VersionNumbers {
    std::string model;
    std::int64_t version;
    std::shared_ptr<const models::Statistics> statistics;
    double load_seconds;
  };
  std::vector<VersionNumbers> Numbers() const;

 private:
  enum class State : std::uint8_t { kReady, kUnavailable, kLoading, kUnloading };
  struct Slot {
    State state = State::kLoading;
    std::string reason;
    std::shared_ptr<ModelVersion> version;  // while ready
  };
  struct Entry {
    std::map<std::int64_t, Slot> versions;
    std::string fingerprint;  // of what is loaded
    std::filesystem::path temporary;
    bool failed = false;  // the last load failed
  };
  struct Job {
    std::string name;
    std::function<void()> run;
  };

  Result<Nothing> LoadNow(const std::string& name, const LoadOptions& options);
  // `answer` is called once no new request reaches the model; returns when the last one in flight has its answer.
  void UnloadNow(const std::string& name, const Done& answer);
  Result<Backend*> BackendFor(const std::string& name);
  Result<std::shared_ptr<ModelVersion>> FindVersion(const ModelRef& model) const;
  void Schedule(std::string name, std::function<void()> run);
  void RunLoader();
  void RenewVersionLists(Entry& entry);  // mutex_ held
  void LogTable() const;

  const ModelsConfig& config_;
  const std::map<std::string, BackendFactory> factories_;
  const Clock& clock_;
  const std::vector<Home*> homes_;
  std::atomic<std::size_t> next_home_{0};
  InflightBytes inflight_;
  Repository repository_;

  mutable std::shared_mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;  // guarded by mutex_
  std::set<std::string> known_;                        // names seen in the repositories; guarded by mutex_
  std::atomic<bool> live_{false}, started_{false}, shutting_down_{false};

  std::mutex backends_mutex_;
  std::map<std::string, std::unique_ptr<Backend>> backends_;  // guarded by backends_mutex_

  std::mutex jobs_mutex_;
  std::condition_variable jobs_wake_;
  std::deque<Job> jobs_;        // guarded by jobs_mutex_; one model's jobs run one after another
  std::set<std::string> busy_;  // guarded by jobs_mutex_
  bool stopping_ = false;       // guarded by jobs_mutex_
  std::vector<std::thread> loaders_;
};

}  // namespace nereid::models

#include "models/model_server.h"

#include <pthread.h>

#include <algorithm>
#include <latch>

#include <fmt/format.h>

#include "base/log.h"

namespace nereid::models {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kJobsMax = 4096;

// How Triton spells a code in front of a reason.
std::string_view TritonCode(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kTooLarge:
    case Code::kPaymentRequired: return "Invalid argument";
    case Code::kNotFound: return "Not found";
    case Code::kUnavailable:
    case Code::kRateLimited:
    case Code::kDeadlineExceeded: return "Unavailable";
    case Code::kUnsupported: return "Unsupported";
    case Code::kConflict: return "Already exists";
    case Code::kCancelled: return "Cancelled";
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
    case Code::kBadGateway:
    case Code::kInternal: return "Internal";
  }
  return "Internal";
}

std::string ReasonText(const Status& status) {
  return fmt::format("{}: {}", TritonCode(status.code), status.message);
}

std::vector<fs::path> Folders(const ModelsConfig& config) {
  return {config.repositories.begin(), config.repositories.end()};
}

}  // namespace

ModelServer::ModelServer(const ModelsConfig& config, std::map<std::string, BackendFactory> backends, std::uint64_t inflight_bytes_max,
                         const Clock& clock, std::vector<Home*> homes)
    : config_(config),
      factories_(std::move(backends)),
      clock_(clock),
      homes_(std::move(homes)),
      inflight_(inflight_bytes_max),
      repository_(Folders(config), config.config_name, config.auto_complete) {}

ModelServer::~ModelServer() {
  Stop();
}

Result<Nothing> ModelServer::Start() {
  for (const auto& folder : config_.repositories) {
    std::error_code error;
    if (!fs::is_directory(folder, error))
      return Error(Code::kInternal,
                   fmt::format("failed to stat file {}: the model repository '{}' is no folder that can be read", folder, folder),
                   "no_repository");
  }
  live_ = true;
  for (int i = 0; i < std::max(1, config_.load_threads); ++i) {
    loaders_.emplace_back([this] { RunLoader(); });
    ::pthread_setname_np(loaders_.back().native_handle(), fmt::format("loader-{}", i).c_str());
  }
  std::vector<std::string> names = repository_.Names();
  {
    std::unique_lock lock(mutex_);
    known_.insert(names.begin(), names.end());
  }
  if (config_.control == ControlMode::kExplicit && !(config_.load.size() == 1 && config_.load[0] == "*")) names = config_.load;
  std::latch all(static_cast<std::ptrdiff_t>(names.size()));
  std::atomic<int> failed{0};
  for (const auto& name : names) {
    Schedule(name, [this, name, &all, &failed] {
      if (!LoadNow(name, {})) ++failed;
      all.count_down();
    });
  }
  all.wait();
  LogTable();
  started_ = true;
  if (failed > 0 && config_.exit_on_error) return Error(Code::kInternal, "failed to load all models", "load_failed");
  return Nothing{};
}

void ModelServer::BeginShutdown() {
  shutting_down_ = true;
}

void ModelServer::Stop() {
  shutting_down_ = true;
  {
    std::lock_guard lock(jobs_mutex_);
    if (std::exchange(stopping_, true)) return;
    jobs_.clear();
  }
  jobs_wake_.notify_all();
  for (auto& loader : loaders_) loader.join();
  std::vector<std::string> names;
  {
    std::shared_lock lock(mutex_);
    for (const auto& [name, entry] : entries_) names.push_back(name);
  }
  for (const auto& name : names) UnloadNow(name, [](auto) {});
  live_ = false;
}

void ModelServer::Schedule(std::string name, std::function<void()> run) {
  {
    std::lock_guard lock(jobs_mutex_);
    jobs_.push_back({std::move(name), std::move(run)});
  }
  jobs_wake_.notify_one();
}

void ModelServer::RunLoader() {
  std::unique_lock lock(jobs_mutex_);
  for (;;) {
    auto next = std::find_if(jobs_.begin(), jobs_.end(), [this](const Job& job) { return !busy_.contains(job.name); });
    if (next == jobs_.end()) {
      if (stopping_) return;
      jobs_wake_.wait(lock);
      continue;
    }
    Job job = std::move(*next);
    jobs_.erase(next);
    busy_.insert(job.name);
    lock.unlock();
    job.run();
    lock.lock();
    busy_.erase(job.name);
    jobs_wake_.notify_all();
  }
}

Result<Backend*> ModelServer::BackendFor(const std::string& name) {
  std::lock_guard lock(backends_mutex_);
  if (auto made = backends_.find(name); made != backends_.end()) return made->second.get();
  auto factory = factories_.find(name);
  if (factory == factories_.end())
    return Error(Code::kInvalidArgument,
                 fmt::format("unable to find backend library for backend '{}', try specifying runtime on the model configuration.", name),
                 "no_backend");
  std::map<std::string, std::string> options;
  for (const char* section : {"", "default"}) {
    if (auto common = config_.backends.find(section); common != config_.backends.end())
      options.insert(common->second.begin(), common->second.end());
  }
  if (auto own = config_.backends.find(name); own != config_.backends.end()) {
    for (const auto& [key, value] : own->second) options[key] = value;
  }
  TRY(auto backend, factory->second(options));
  return (backends_[name] = std::move(backend)).get();
}

Result<Nothing> ModelServer::LoadNow(const std::string& name, const LoadOptions& options) {
  auto polled = repository_.Poll(name, options);
  if (!polled) {
    const Status& why = polled.error();
    if (why.reason != "no_such_model")
      LOG_ERROR("Poll failed for model directory '{}': {}{}{}", name, why.message, why.detail.empty() ? "" : ": ", why.detail);
    std::unique_lock lock(mutex_);
    // A name that no folder has says nothing about the models that are here.
    if (why.reason != "no_such_model" && why.reason != "bad_model_name") {
      known_.insert(name);
      entries_[name].failed = true;
    }
    return Error(Code::kInternal, fmt::format("failed to load '{}', failed to poll from model repository", name), "poll_failed",
                 why.message);
  }
  {
    std::unique_lock lock(mutex_);
    known_.insert(name);
    Entry& entry = entries_[name];
    bool ready = !entry.versions.empty() &&
                 std::any_of(entry.versions.begin(), entry.versions.end(), [](const auto& v) { return v.second.state == State::kReady; });
    if (ready && !entry.failed && entry.fingerprint == polled->fingerprint) return Nothing{};
    if (polled->versions.empty()) {
      entry.failed = true;
      std::string text = fmt::format("at least one version must be available under the version policy of model '{}'", name);
      LOG_ERROR("failed to load model '{}': {}", name, text);
      return Error(Code::kInvalidArgument, fmt::format("load failed for model '{}': {}\n", name, text), "load_failed");
    }
    for (std::int64_t version : polled->versions) {
      Slot& slot = entry.versions[version];
      if (!slot.version) slot.state = State::kLoading;
    }
  }
  // New versions load while the old keep serving; they are swapped in together, or not at all.
  std::map<std::int64_t, std::shared_ptr<ModelVersion>> loaded;
  std::string failures;
  auto backend = BackendFor(polled->config.backend());
  for (std::int64_t version : polled->versions) {
    LOG_INFO("loading: {}:{}", name, version);
    auto load = [&]() -> Result<std::shared_ptr<ModelVersion>> {
      if (!backend) return std::unexpected(backend.error());
      return ModelVersion::Load(*polled, version, **backend, config_.auto_complete,
                                {&inflight_, &clock_, homes_.empty() ? nullptr : homes_[next_home_++ % homes_.size()]});
    };
    Result<std::shared_ptr<ModelVersion>> made = load();
    for (int retry = 0; !made && retry < config_.load_retries; ++retry) made = load();
    if (made) {
      loaded[version] = *std::move(made);
      continue;
    }
    std::string reason = ReasonText(made.error());
    LOG_ERROR("failed to load '{}' version {}: {}{}{}", name, version, reason, made.error().detail.empty() ? "" : " - ",
              made.error().detail);
    failures += fmt::format("version {} is at UNAVAILABLE state: {};\n", version, reason);
    std::unique_lock lock(mutex_);
    Slot& slot = entries_[name].versions[version];
    if (!slot.version) {
      slot.state = State::kUnavailable;
      slot.reason = reason;
    }
  }
  std::vector<std::shared_ptr<ModelVersion>> retired;
  fs::path old_temporary;
  {
    std::unique_lock lock(mutex_);
    Entry& entry = entries_[name];
    entry.failed = !failures.empty();
    if (failures.empty()) {
      for (auto& [version, slot] : entry.versions) {
        if (slot.version) retired.push_back(std::move(slot.version));
        slot.version = nullptr;
        if (loaded.contains(version)) {
          slot = Slot{State::kReady, "", loaded[version]};
        } else if (slot.state == State::kReady) {
          slot = Slot{State::kUnavailable, "unloaded", nullptr};
        }
      }
      entry.fingerprint = polled->fingerprint;
      old_temporary = std::exchange(entry.temporary, polled->temporary);
      RenewVersionLists(entry);
    } else {
      for (auto& [version, fresh] : loaded) {
        retired.push_back(fresh);
        Slot& slot = entry.versions[version];
        if (!slot.version) slot = Slot{State::kUnavailable, "a sibling version failed to load", nullptr};
      }
      old_temporary = polled->temporary;
    }
  }
  for (auto& version : retired) version->Stop();
  if (!old_temporary.empty()) {
    std::error_code ignored;
    fs::remove_all(old_temporary.parent_path(), ignored);
  }
  if (!failures.empty()) return Error(Code::kInvalidArgument, fmt::format("load failed for model '{}': {}", name, failures), "load_failed");
  LOG_INFO("successfully loaded '{}'", name);
  return Nothing{};
}

void ModelServer::UnloadNow(const std::string& name, const Done& answer) {
  std::vector<std::shared_ptr<ModelVersion>> retired;
  {
    std::unique_lock lock(mutex_);
    auto entry = entries_.find(name);
    if (entry != entries_.end()) {
      for (auto& [version, slot] : entry->second.versions) {
        if (!slot.version) continue;
        retired.push_back(std::move(slot.version));
        slot = Slot{State::kUnloading, "", nullptr};
      }
    }
  }
  answer(Nothing{});
  for (auto& version : retired) version->Stop();
  std::unique_lock lock(mutex_);
  auto found = entries_.find(name);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  for (auto& [version, slot] : entry.versions) {
    if (slot.state == State::kUnloading) slot = Slot{State::kUnavailable, "unloaded", nullptr};
  }
  entry.fingerprint.clear();
  if (!entry.temporary.empty()) {
    std::error_code ignored;
    fs::remove_all(entry.temporary.parent_path(), ignored);
    entry.temporary.clear();
  }
  if (!retired.empty()) LOG_INFO("successfully unloaded '{}'", name);
}

void ModelServer::RenewVersionLists(Entry& entry) {
  std::vector<std::int64_t> ready;
  for (const auto& [version, slot] : entry.versions) {
    if (slot.version) ready.push_back(version);
  }
  for (auto& [version, slot] : entry.versions) {
    if (slot.version) slot.version->SetVersions(ready);
  }
}

void ModelServer::Load(std::string name, LoadOptions options, Done done) {
  if (config_.control != ControlMode::kExplicit)
    return done(Error(Code::kUnavailable, "explicit model load / unload is not allowed if polling is enabled", "not_explicit"));
  auto shared = std::make_shared<LoadOptions>(std::move(options));
  {
    std::lock_guard lock(jobs_mutex_);
    if (stopping_ || jobs_.size() >= kJobsMax)
      return done(Error(Code::kUnavailable, "the server takes no further load now", "loaders_full"));
  }
  Schedule(name, [this, name, shared, done = std::move(done)] { done(LoadNow(name, *shared)); });
}

void ModelServer::Unload(std::string name, bool, Done done) {
  if (config_.control != ControlMode::kExplicit)
    return done(Error(Code::kUnavailable, "explicit model load / unload is not allowed if polling is enabled", "not_explicit"));
  {
    std::lock_guard lock(jobs_mutex_);
    if (stopping_ || jobs_.size() >= kJobsMax)
      return done(Error(Code::kUnavailable, "the server takes no further unload now", "loaders_full"));
  }
  Schedule(name, [this, name, done = std::move(done)] { UnloadNow(name, done); });
}

Result<std::shared_ptr<ModelVersion>> ModelServer::FindVersion(const ModelRef& model) const {
  std::shared_lock lock(mutex_);
  auto entry = entries_.find(model.name);
  auto unknown = [&](std::string tail) {
    return Error(Code::kNotFound, fmt::format("Request for unknown model: '{}' {}", model.name, tail), "unknown_model");
  };
  if (entry == entries_.end() || entry->second.versions.empty()) return unknown("is not found");
  const auto& versions = entry->second.versions;
  if (model.version < 0) {
    for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
      if (it->second.version) return it->second.version;
    }
    return unknown("has no available versions");
  }
  auto slot = versions.find(model.version);
  if (slot == versions.end()) return unknown(fmt::format("version {} is not found", model.version));
  if (!slot->second.version)
    return Error(Code::kUnavailable,
                 fmt::format("Request for unknown model: '{}' version {} is not at ready state", model.name, model.version), "not_ready");
  return slot->second.version;
}

void ModelServer::Submit(InferRequest request, std::shared_ptr<InferReceiver> receiver) {
  auto version = FindVersion(request.model);
  if (!version) {
    InferResponse response;
    response.model_name = request.model.name;
    response.client_id = request.client_id;
    response.error = std::move(version).error();
    receiver->Push(std::move(response));
    return;
  }
  (*version)->Submit(std::move(request), std::move(receiver));
}

Result<std::shared_ptr<const ModelInfo>> ModelServer::Find(const ModelRef& model) const {
  TRY(auto version, FindVersion(model));
  std::shared_lock lock(mutex_);
  return version->info();
}

std::vector<std::shared_ptr<const ModelInfo>> ModelServer::TextModels() const {
  std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<const ModelInfo>> out;
  for (const auto& [name, entry] : entries_) {
    for (auto it = entry.versions.rbegin(); it != entry.versions.rend(); ++it) {
      if (!it->second.version) continue;
      if (it->second.version->info()->text_generator) out.push_back(it->second.version->info());
      break;
    }
  }
  return out;
}

bool ModelServer::Live() const {
  return live_;
}

bool ModelServer::Ready() const {
  if (!started_ || shutting_down_) return false;
  if (!config_.strict_readiness) return true;
  std::shared_lock lock(mutex_);
  for (const auto& [name, entry] : entries_) {
    if (entry.failed) return false;
    for (const auto& [version, slot] : entry.versions) {
      if (slot.state == State::kUnavailable && slot.reason == "unloaded") continue;
      if (!slot.version || !slot.version->Ready()) return false;
    }
  }
  return true;
}

bool ModelServer::ModelReady(const ModelRef& model) const {
  auto version = FindVersion(model);
  return version && (*version)->Ready() && !shutting_down_;
}

std::vector<IndexEntry> ModelServer::Index(bool ready_only) const {
  std::shared_lock lock(mutex_);
  std::vector<IndexEntry> index;
  std::set<std::string> names = known_;
  for (const auto& [name, entry] : entries_) names.insert(name);
  for (const auto& name : names) {
    auto entry = entries_.find(name);
    if (entry == entries_.end() || entry->second.versions.empty()) {
      if (!ready_only) index.push_back({name, std::nullopt, "", ""});
      continue;
    }
    for (const auto& [version, slot] : entry->second.versions) {
      if (ready_only && slot.state != State::kReady) continue;
      static constexpr std::string_view kNames[] = {"READY", "UNAVAILABLE", "LOADING", "UNLOADING"};
      index.push_back({name, version, std::string(kNames[static_cast<int>(slot.state)]), slot.reason});
    }
  }
  return index;
}

Result<std::vector<ModelStats>> ModelServer::Statistics(const ModelRef& model) const {
  std::shared_lock lock(mutex_);
  std::vector<ModelStats> out;
  auto add = [&](const std::string& name, std::int64_t version, const Slot& slot) {
    ModelStats stats = slot.version->statistics()->Snapshot();
    stats.name = name;
    stats.version = version;
    out.push_back(std::move(stats));
  };
  for (const auto& [name, entry] : entries_) {
    if (!model.name.empty() && name != model.name) continue;
    for (const auto& [version, slot] : entry.versions) {
      if (slot.version && (model.version < 0 || model.version == version)) add(name, version, slot);
    }
  }
  if (out.empty() && !model.name.empty()) {
    if (model.version >= 0)
      return Error(Code::kInvalidArgument, fmt::format("requested model version is not available for model '{}'", model.name), "not_ready");
    return Error(Code::kInvalidArgument, fmt::format("requested model '{}' is not available", model.name), "not_ready");
  }
  return out;
}

std::vector<ModelServer::VersionNumbers> ModelServer::Numbers() const {
  std::shared_lock lock(mutex_);
  std::vector<VersionNumbers> out;
  for (const auto& [name, entry] : entries_) {
    for (const auto& [version, slot] : entry.versions) {
      if (slot.version) out.push_back({name, version, slot.version->statistics(), slot.version->load_seconds()});
    }
  }
  return out;
}

void ModelServer::LogTable() const {
  auto index = Index(false);
  std::size_t width = 5;
  for (const auto& entry : index) width = std::max(width, entry.name.size());
  std::string rule = fmt::format("+{:-<{}}+---------+--------", "", width + 2);
  std::string text = fmt::format("\n{}\n| {:<{}} | Version | Status\n{}\n", rule, "Model", width, rule);
  for (const auto& entry : index) {
    std::string status =
        entry.version ? entry.state + (entry.reason.empty() ? "" : ": " + entry.reason) : "Not loaded: No model version was found";
    text += fmt::format("| {:<{}} | {:<7} | {}\n", entry.name, width, entry.version ? std::to_string(*entry.version) : "-", status);
  }
  LOG_INFO("{}{}", text, rule);
}

}  // namespace nereid::models

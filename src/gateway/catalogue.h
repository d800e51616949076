// The public models that the configuration declares, and what they cost. Set once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/engine.h"
#include "api/model_service.h"
#include "api/target.h"
#include "config/config.h"

namespace nereid::gateway {

struct PublicModel {
  std::string name;
  Price charge;
  std::vector<std::shared_ptr<Target>> targets;  // in order
  std::string owned_by;
  std::optional<std::int64_t> max_output_tokens;
  bool is_public = true;
};

// Makes the target of a declared model; of a local model when the provider is empty. `price` is what an attempt costs.
using TargetFactory = std::function<Result<std::shared_ptr<Target>>(const TargetConfig& config, const Price& cost)>;

Price PriceOf(const PriceConfig& config);

class Catalogue {
 public:
  // Text models of the repository are public models too, under their folder's name, free of charge, unless a declared one has the name.
  static Result<Catalogue> Make(const Config& config, const ModelService& models, TargetFactory make);

  // Nothing for an unknown name.
  std::shared_ptr<const PublicModel> Find(std::string_view name) const;
  std::vector<CatalogueEntry> List(const Principal* principal) const;
  // Declared and local names that look like `name`, the nearest first, of those that `principal` may use.
  std::vector<std::string> Near(std::string_view name, const Principal& principal) const;

 private:
  std::map<std::string, std::shared_ptr<const PublicModel>, std::less<>> declared_;
  const ModelService* models_ = nullptr;
  TargetFactory make_;
  std::int64_t started_ = 0;
};

// Whether the key's model globs allow it.
bool MayUse(const Principal& principal, std::string_view model);

}  // namespace nereid::gateway

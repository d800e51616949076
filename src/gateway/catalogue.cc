#include "gateway/catalogue.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/glob.h"

namespace nereid::gateway {
namespace {

std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

Price PriceOf(const PriceConfig& config) {
  Price price;
  price.unpriced = config.unpriced;
  price.input = config.input;
  price.output = config.output;
  price.cache_read = config.cache_read.value_or(config.input);
  price.cache_write = config.cache_write.value_or(config.input);
  price.reasoning = config.reasoning.value_or(config.output);
  price.version = 1;
  return price;
}

bool MayUse(const Principal& principal, std::string_view model) {
  if (principal.model_globs.empty()) return true;
  return std::any_of(principal.model_globs.begin(), principal.model_globs.end(),
                     [&](const std::string& glob) { return GlobMatches(glob, model); });
}

Result<Catalogue> Catalogue::Make(const Config& config, const ModelService& models, TargetFactory make) {
  Catalogue catalogue;
  catalogue.models_ = &models;
  catalogue.make_ = std::move(make);
  catalogue.started_ = std::chrono::duration_cast<std::chrono::seconds>(SystemClock().Wall().time_since_epoch()).count();
  for (const PublicModelConfig& declared : config.public_models) {
    auto model = std::make_shared<PublicModel>();
    model->name = declared.name;
    model->charge = PriceOf(declared.price);
    model->max_output_tokens = declared.max_output_tokens;
    model->is_public = declared.is_public;
    for (const TargetConfig& target : declared.targets) {
      Price cost = PriceOf(target.cost);
      if (cost.unpriced && target.provider.empty()) cost = Price{.unpriced = false};  // a local model costs nothing unless priced
      TRY(auto made, catalogue.make_(target, cost));
      model->targets.push_back(std::move(made));
    }
    model->owned_by = declared.targets.empty() || declared.targets[0].provider.empty() ? "nereid" : declared.targets[0].provider;
    catalogue.declared_[declared.name] = std::move(model);
  }
  return catalogue;
}

std::shared_ptr<const PublicModel> Catalogue::Find(std::string_view name) const {
  if (auto declared = declared_.find(name); declared != declared_.end()) return declared->second;
  ModelRef local{std::string(name), -1};
  auto info = models_->Find(local);
  if (!info || !(*info)->text_generator) return nullptr;
  const Price free{.unpriced = false};
  auto target = make_(TargetConfig{.provider = "", .model = local.name}, free);
  if (!target) return nullptr;
  auto model = std::make_shared<PublicModel>();
  model->name = local.name;
  model->charge = free;
  model->targets.push_back(*std::move(target));
  model->owned_by = "nereid";
  return model;
}

std::vector<CatalogueEntry> Catalogue::List(const Principal* principal) const {
  std::vector<CatalogueEntry> out;
  for (const auto& [name, model] : declared_) {
    if (principal ? MayUse(*principal, name) : model->is_public) out.push_back({name, started_, model->owned_by});
  }
  for (const auto& info : models_->TextModels()) {
    if (!declared_.contains(info->name) && (!principal || MayUse(*principal, info->name))) out.push_back({info->name, started_, "nereid"});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

std::vector<std::string> Catalogue::Near(std::string_view name, const Principal& principal) const {
  std::vector<std::pair<std::size_t, std::string>> scored;
  for (const CatalogueEntry& entry : List(&principal))
    scored.emplace_back(EditDistance(name.substr(0, 128), std::string_view(entry.name).substr(0, 128)), entry.name);
  std::sort(scored.begin(), scored.end());
  std::vector<std::string> out;
  for (const auto& [distance, candidate] : scored) {
    if (out.size() < 3 && distance <= std::max<std::size_t>(3, candidate.size() / 2)) out.push_back(candidate);
  }
  return out;
}

}  // namespace nereid::gateway

#include "backends/llama/step_planner.h"

#include <algorithm>

namespace nereid::llama {

std::vector<PlannedRow> PlanStep(std::span<const PlanRow> rows, const StepBudget& budget) {
  std::vector<PlannedRow> plan;
  std::vector<std::size_t> prompts;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].paused || rows[i].pending <= 0) continue;
    if (rows[i].pending > 1) {
      prompts.push_back(i);
    } else if (static_cast<int>(plan.size()) < budget.tokens) {
      plan.push_back({i, 1});
    }
  }
  int left = budget.tokens - static_cast<int>(plan.size());
  if (!plan.empty()) left = std::min(left, budget.mixed_tokens);

  // A share unused by a short prompt goes to those after it; a prompt that would get less than the smallest chunk waits for a later step.
  for (std::size_t i = 0; i < prompts.size() && left > 0; ++i) {
    int share = left / static_cast<int>(prompts.size() - i);
    share = std::max(share, budget.chunk_tokens_min);
    int tokens = std::min({share, left, rows[prompts[i]].pending});
    plan.push_back({prompts[i], tokens});
    left -= tokens;
  }
  return plan;
}

std::optional<std::size_t> ChooseVictim(std::span<const VictimRow> rows) {
  for (std::size_t i = rows.size(); i-- > 0;) {
    if (rows[i].paused && rows[i].cells > 0) return i;
  }
  std::size_t oldest = 0;
  while (oldest < rows.size() && rows[oldest].paused) ++oldest;
  for (std::size_t i = rows.size(); i-- > oldest + 1;) {
    if (!rows[i].paused && rows[i].cells > 0) return i;
  }
  return std::nullopt;
}

}  // namespace nereid::llama

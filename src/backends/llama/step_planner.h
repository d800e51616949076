// Which tokens go into the next step, and who must give up its cache cells. Pure: no model, no clock, no threads.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace nereid::llama {

struct PlanRow {
  int pending = 0;      // tokens known but not yet in the cache; 1: a sequence that generates
  bool paused = false;  // its receiver has no room
};

struct PlannedRow {
  std::size_t row = 0;  // index into the rows
  int tokens = 0;
  friend bool operator==(const PlannedRow&, const PlannedRow&) = default;
};

struct StepBudget {
  int tokens = 512;           // in one step
  int mixed_tokens = 128;     // of prompts, in a step that also generates: bounds what a long prompt adds to others' token times
  int chunk_tokens_min = 16;  // smaller pieces of prompts make the matrix products inefficient
};

// Generating rows first, one token each; then the prompts, oldest first, in fair shares of what is left. `rows` are ordered by age.
std::vector<PlannedRow> PlanStep(std::span<const PlanRow> rows, const StepBudget& budget);

struct VictimRow {
  int cells = 0;  // that would come free
  bool paused = false;
};

// Who gives up its cells when there are too few: a paused one before the others, the youngest first; never the oldest that is not
// paused, so that somebody always gets done. Nothing when nobody can. `rows` are ordered by age.
std::optional<std::size_t> ChooseVictim(std::span<const VictimRow> rows);

}  // namespace nereid::llama

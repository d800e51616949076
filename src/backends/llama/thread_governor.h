// How many threads a step should use. llama.cpp's threads meet some hundred times a step and spin while they wait; where other work
// holds a core, each meeting costs a time slice and fewer threads are many times faster. Pure: learns from the durations it is told.
#pragma once

#include <vector>

#include "base/clock.h"

namespace nereid::llama {

class ThreadGovernor {
 public:
  explicit ThreadGovernor(int threads_max);

  // For the next step. Trials are made, and learned from, in steps that only generate; prompts get what was found best.
  int Threads(int tokens) const;
  // What the step took that was given that many threads.
  void Took(int tokens, Nanos duration);

 private:
  struct Mean {
    double ns = 0;
    int count = 0;
    void Add(Nanos duration);
  };
  void StartTrial();
  void EndTrial(bool better);

  // Levels halve: all, a half, a quarter, ... one.
  std::vector<int> levels_;  // set once, most threads first
  int level_ = 0;            // in use
  int trial_ = -1;           // being tried, or -1
  bool try_more_next_ = false;
  int tokens_ = 0;  // means are comparable only among steps of about this size
  Mean steady_, tried_;
  double best_ns_ = 0;   // of steady_'s mean at this level and size
  int until_trial_ = 0;  // steps
  int interval_ = 0;     // steps
};

}  // namespace nereid::llama

// What the steps of a program move and compute, how long they took in one run, and how fast this machine could be.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>
#include "../../runtime/machine_rates.h"

namespace sinter {

class Graph;
struct PlannedStep;

/// One kernel or eager step in one run.
struct StepCost {
  std::string name;
  double bytes = 0;          // of its operands, each counted once: what memory must at least move when no cache holds any of it
  double flops = 0;          // floating-point operations: a fused multiply-add counts twice, a call of the C library once
  bool wide = false;         // computes in float64
  double us = 0;             // how long it took
  int64_t frozen_bytes = 0;  // of the panels it read in place of a frozen weight

  /// The least time on this machine: at the measured rate of multiply-adds, or of the memory that holds `bytes`, whichever is
  /// slower. 0 when that is not known.
  double attainable_us(const machine::Rates& rates) const;
  /// Whether memory is what limits it.
  bool memory_bound(const machine::Rates& rates) const;
  /// "k0_sin_add: 12.1 us; 8000 bytes, 60000 flops; 4.96 GFLOP/s of at most 5.2 (memory)"
  std::string str(const machine::Rates& rates) const;
};

/// One run of a program, for explain().
struct RunCosts {
  std::vector<StepCost> steps;
  int64_t arena_bytes = 0;   // temporaries and scratch memory
  int64_t output_bytes = 0;  // of results that outlive the run
};

/// Name and time are left to the caller.
StepCost cost_of(const Graph& graph, const PlannedStep& step);

/// Writes the time between its making and its end to `*next`, and moves on. Null: nothing.
class StepTimer {
 public:
  explicit StepTimer(StepCost*& next) : next_(next) {
    if (next_ != nullptr) [[unlikely]]
      start_ = std::chrono::steady_clock::now();
  }
  StepTimer(const StepTimer&) = delete;
  ~StepTimer() {
    if (next_ != nullptr) [[unlikely]]
      (next_++)->us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  StepCost*& next_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace sinter

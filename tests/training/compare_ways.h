// Checks a training program: eager against everything that may be compiled of it, in one configuration of the compiler.
#pragma once
#include <cstdint>
#include <string>
#include "../random/check.h"
#include "plan.h"

namespace sinter::test {

/// Whether the programs test anything.
struct TrainingRates {
  int64_t programs = 0, finite = 0, failing = 0;  // finite parameters at the end; something threw
  int64_t steps = 0, plain = 0, steady = 0;       // of one way; without stress; of these, such that may not compile
  int64_t compiled = 0, replayed = 0, interpreted = 0, fallbacks = 0;
  double finite_share() const;
  double replayed_share() const;  // of the regions that were closed
  double steady_share() const;
  std::string str() const;
};

/// Trains the plan in all ways, step by step; empty when all agree and no step compiles that has nothing new.
std::string compare_ways(const Plan& plan, const Config& config, TrainingRates& rates);

}  // namespace sinter::test

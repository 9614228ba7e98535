// What the programs that check one seed after another share: command line, configurations, the loop.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>
#include "check.h"

namespace sinter::test {

struct SeedOptions {
  uint64_t programs = 0, first = 1, seed = 0;  // seed: of --print and --reduce
  double minutes = 0;                          // above 0: as long, instead of a number of programs
  std::string config;
  std::optional<Isa> cap;  // none given: avx512 mostly, in rotation
  bool all = false, keep_going = false, reducing = false, printing = false;
};

/// Ends the process with status 2 and a message when an argument is not understood. `programs`: how many when none are asked for.
SeedOptions parse_seed_options(int argc, char** argv, uint64_t programs);
/// The default configuration and one other, in rotation; or those asked for.
std::vector<Config> configs_for(const SeedOptions& o, uint64_t seed);
/// Calls `check`, which is false after a difference, for each seed until a difference (keep_going: ten); prints `rates` every
/// minute. Returns how many differed.
int run_seeds(const SeedOptions& o, const std::function<bool(uint64_t seed)>& check, const std::function<std::string()>& rates);

}  // namespace sinter::test

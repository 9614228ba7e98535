// Random programs that train, eager against compiled: each in the default configuration and in one other, in rotation.
//   random_training [--programs N | --minutes M] [--first SEED] [--isa avx512|avx2|none] [--all] [--keep-going]
//   random_training --print SEED                                    what a seed's program does
//   random_training --reduce SEED [--config NAME] [--isa ...]       a minimal program of a seed's difference or crash
#include <cstdio>
#include <cstdlib>
#include "../random/crash_report.h"
#include "../random/seeds.h"
#include "codegen/kernel.h"
#include "draw.h"
#include "reduce_plan.h"

namespace sinter::test {
namespace {

constexpr double kFinite = 0.9, kSteady = 0.06, kReplayed = 0.3;  // least shares
constexpr int64_t kEnoughForRates = 200;                          // programs

void report(const Plan& p, const Config& config, const std::string& difference) {
  std::printf("seed %llu differs (%s, %s): %s\n", static_cast<unsigned long long>(p.seed), config.name.c_str(),
              isa_name(config.cap), difference.c_str());
  std::fflush(stdout);
  if (!fails_in_child(p, config)) {
    std::printf("(it passes in a process of its own)\n%s", listing(p).c_str());
    return;
  }
  const Plan small = reduce(p, config);
  std::printf("reduced:\n%s", listing(small).c_str());
  std::fflush(stdout);
  TrainingRates unused;
  std::printf("reduced: %s\n", compare_ways(small, config, unused).c_str());
  std::fflush(stdout);
}

int reduce_seed(const SeedOptions& o) {
  const Plan p = random_plan(o.seed);
  for (const Config& config : configs_for(o, o.seed))
    if (fails_in_child(p, config)) {
      report(p, config, "reducing");
      return 1;
    }
  std::puts("no difference");
  return 0;
}

/// False when a configuration differs.
bool check_seed(const SeedOptions& o, uint64_t seed, TrainingRates& rates) {
  on_crash_report(fmt::format("crash: seed {}, while it was drawn\n", seed));
  const Plan p = random_plan(seed);
  for (const Config& config : configs_for(o, seed)) {
    on_crash_report(fmt::format("crash: seed {}, configuration '{}', isa {}\n", seed, config.name, isa_name(config.cap)));
    const std::string difference = compare_ways(p, config, rates);
    if (difference.empty()) continue;
    report(p, config, difference);
    return false;
  }
  return true;
}

int verdict(const TrainingRates& rates, int differences) {
  std::printf("%s; %d differences\n", rates.str().c_str(), differences);
  if (differences > 0) return 1;
  if (rates.programs < kEnoughForRates) return 0;
  const bool idle = codegen::jit_available() && (rates.replayed_share() < kReplayed || rates.steady_share() < kSteady);
  const bool low = rates.finite_share() < kFinite || idle;
  if (low)
    std::printf("rates are too low: at least %.2f finite, %.2f may not compile, %.2f of the regions replayed\n", kFinite, kSteady,
                kReplayed);
  return low;
}

int run(const SeedOptions& o) {
  if (o.reducing) return reduce_seed(o);
  if (o.printing) return std::puts(listing(random_plan(o.seed)).c_str()) < 0;
  TrainingRates rates;
  const int differences = run_seeds(
      o, [&](uint64_t seed) { return check_seed(o, seed, rates); }, [&] { return rates.str(); });
  return verdict(rates, differences);
}

}  // namespace
}  // namespace sinter::test

int main(int argc, char** argv) {
  // All ways of a program at once, in regions of a few operators, are more variants than a process usually has.
  setenv("SINTER_ACCUMULATED_RECOMPILE_LIMIT", "100000", 0);
  return sinter::test::run(sinter::test::parse_seed_options(argc, argv, 300));
}

// Random programs, eager against compiled: each in the default configuration and in one other, in rotation.
//   random_programs [--programs N | --minutes M] [--first SEED] [--isa avx512|avx2|none] [--all] [--keep-going]
//   random_programs --print SEED [--config NAME] [--isa ...]    the C++ of a seed's program as it was made
//   random_programs --reduce SEED [--config NAME] [--isa ...]   a minimal C++ program of a seed's difference or crash
#include <cstdio>
#include "codegen/kernel.h"
#include "crash_report.h"
#include "generate.h"
#include "reduce.h"
#include "seeds.h"

namespace sinter::test {
namespace {

constexpr double kValid = 0.9, kMoving = 0.4, kFused = 0.8;  // least shares
constexpr uint64_t kEnoughForRates = 200;                    // programs

void report_difference(const Program& p, const Config& config, const std::string& difference) {
  std::printf("seed %llu differs (%s, %s): %s\n", static_cast<unsigned long long>(p.seed), config.name.c_str(),
              isa_name(config.cap), difference.c_str());
  const Program small = reduce(p, [&](const Program& q) { return fails_in_child(q, config); });
  Rates unused;
  std::printf("reduced to %zu statements:\n%s\n", small.steps.size(), reproducer(small, config).c_str());
  std::fflush(stdout);
  if (!fails_in_child(small, config)) std::printf("(the reduced program passes in a process of its own)\n");
  else std::printf("reduced: %s\n", check_program(small, config, unused).c_str());
  std::fflush(stdout);
}

int reduce_seed(const SeedOptions& o) {
  const Program p = random_program(o.seed);
  for (const Config& config : configs_for(o, o.seed))
    if (fails_in_child(p, config)) {
      report_difference(p, config, "reducing");
      return 1;
    }
  std::puts("no difference");
  return 0;
}

/// False when a configuration differs.
bool check_seed(const SeedOptions& o, uint64_t seed, Rates& rates) {
  const Program p = random_program(seed);
  rates.count(p);
  for (const Config& config : configs_for(o, seed)) {
    on_crash_report(fmt::format("crash: seed {}, configuration '{}', isa {}\n", seed, config.name, isa_name(config.cap)));
    const std::string difference = check_program(p, config, rates);
    if (difference.empty()) continue;
    report_difference(p, config, difference);
    return false;
  }
  return true;
}

int verdict(const Rates& rates, int differences) {
  std::printf("%s; %d differences\n", rates.str().c_str(), differences);
  if (differences > 0) return 1;
  if (static_cast<uint64_t>(rates.programs) < kEnoughForRates) return 0;
  const bool unfused = codegen::jit_available() && rates.fused_share() < kFused;
  const bool low = rates.valid_share() < kValid || rates.moving_share() < kMoving || unfused;
  if (low) std::printf("rates are too low: at least %.2f valid, %.2f views and in place, %.2f fused\n", kValid, kMoving, kFused);
  return low;
}

int run(const SeedOptions& o) {
  if (o.reducing) return reduce_seed(o);
  if (o.printing) return std::puts(reproducer(random_program(o.seed), configs_for(o, o.seed)[0]).c_str()) < 0;
  Rates rates;
  const int differences = run_seeds(
      o, [&](uint64_t seed) { return check_seed(o, seed, rates); }, [&] { return rates.str(); });
  return verdict(rates, differences);
}

}  // namespace
}  // namespace sinter::test

int main(int argc, char** argv) { return sinter::test::run(sinter::test::parse_seed_options(argc, argv, 2000)); }

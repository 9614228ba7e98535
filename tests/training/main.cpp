// Random programs that train, eager against compiled: each in the default configuration and in one other, in rotation.
//   random_training [--programs N | --minutes M] [--first SEED] [--isa avx512|avx2|none] [--all] [--keep-going]
//   random_training --print SEED                                    what a seed's program does
//   random_training --reduce SEED [--config NAME] [--isa ...]       a minimal program of a seed's difference or crash
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include "../random/crash_report.h"
#include "codegen/kernel.h"
#include "draw.h"
#include "reduce_plan.h"

namespace sinter::test {
namespace {

constexpr double kFinite = 0.9, kSteady = 0.06, kReplayed = 0.3;  // least shares
constexpr int kMostDifferences = 10;
constexpr int64_t kEnoughForRates = 200;  // programs

struct Options {
  uint64_t programs = 300, first = 1, seed = 0;
  double minutes = 0;
  std::string config;
  std::optional<Isa> cap;  // none given: avx512 mostly, in rotation
  bool all = false, keep_going = false, reducing = false, printing = false;
};

[[noreturn]] void usage(const std::string& what) {
  std::fprintf(stderr, "random_training: %s\n", what.c_str());
  std::exit(2);
}

Isa parse_isa(const std::string& name) {
  if (name == "avx512") return Isa::Avx512;
  if (name == "avx2") return Isa::Avx2;
  if (name == "none") return Isa::None;
  usage("--isa is avx512, avx2 or none");
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto number = [&] { return std::strtoull(argv[++i], nullptr, 10); };
    if (name == "--all") o.all = true;
    else if (name == "--keep-going") o.keep_going = true;
    else if (i + 1 == argc) usage("what is " + name + "?");
    else if (name == "--programs") o.programs = number();
    else if (name == "--minutes") o.minutes = std::strtod(argv[++i], nullptr);
    else if (name == "--first") o.first = number();
    else if (name == "--isa") o.cap = parse_isa(argv[++i]);
    else if (name == "--config") o.config = argv[++i];
    else if (name == "--print") o.seed = number(), o.printing = true;
    else if (name == "--reduce") o.seed = number(), o.reducing = true;
    else usage("what is " + name + "?");
  }
  return o;
}

std::vector<Config> configs_for(const Options& o, uint64_t seed) {
  std::vector<Config> all = configurations(seed);
  for (Config& c : all) c.cap = o.cap.value_or(usual_cap(seed));
  if (!o.config.empty()) {
    std::erase_if(all, [&](const Config& c) { return c.name != o.config; });
    if (all.empty()) usage("no configuration of that name");
  } else if (!o.all) {
    all = {all[0], all[1 + seed % (all.size() - 1)]};
  }
  return all;
}

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

int reduce_seed(const Options& o) {
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
bool check_seed(const Options& o, uint64_t seed, TrainingRates& rates) {
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

int run(const Options& o) {
  if (o.reducing) return reduce_seed(o);
  if (o.printing) return std::puts(listing(random_plan(o.seed)).c_str()) < 0;
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto minutes = [&] { return std::chrono::duration<double>(Clock::now() - start).count() / 60; };
  TrainingRates rates;
  int differences = 0;
  double next_line = 1;
  for (uint64_t n = 0; o.minutes > 0 ? minutes() < o.minutes : n < o.programs; ++n) {
    if (!check_seed(o, o.first + n, rates) && (++differences == kMostDifferences || !o.keep_going)) break;
    if (minutes() < next_line) continue;
    std::printf("%.0f min, next seed %llu: %s\n", minutes(), static_cast<unsigned long long>(o.first + n + 1),
                rates.str().c_str());
    std::fflush(stdout);
    ++next_line;
  }
  return verdict(rates, differences);
}

}  // namespace
}  // namespace sinter::test

int main(int argc, char** argv) {
  // All ways of a program at once, in regions of a few operators, are more variants than a process usually has.
  setenv("SINTER_ACCUMULATED_RECOMPILE_LIMIT", "100000", 0);
  return sinter::test::run(sinter::test::parse(argc, argv));
}

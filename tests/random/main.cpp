// Random programs, eager against compiled: each in the default configuration and in one other, in rotation.
//   random_programs [--programs N | --minutes M] [--first SEED] [--isa avx512|avx2|none] [--all] [--keep-going]
//   random_programs --print SEED [--config NAME] [--isa ...]    the C++ of a seed's program as it was made
//   random_programs --reduce SEED [--config NAME] [--isa ...]   a minimal C++ program of a seed's difference or crash
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "codegen/kernel.h"
#include "crash_report.h"
#include "generate.h"
#include "reduce.h"

namespace sinter::test {
namespace {

constexpr double kValid = 0.9, kMoving = 0.4, kFused = 0.8;  // least shares
constexpr int kMostDifferences = 10;
constexpr uint64_t kEnoughForRates = 200;  // programs

struct Options {
  uint64_t programs = 2000, first = 1, reduce = 0;
  double minutes = 0;
  std::string config;
  std::optional<Isa> cap;  // none given: avx512 mostly, in rotation
  bool all = false, keep_going = false, reducing = false, printing = false;
};

[[noreturn]] void usage(const char* what) {
  std::fprintf(stderr, "random_programs: %s\n", what);
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
    if (name == "--all") o.all = true;
    else if (name == "--keep-going") o.keep_going = true;
    else if (i + 1 == argc) usage(("what is " + name + "?").c_str());
    else if (name == "--programs") o.programs = std::strtoull(argv[++i], nullptr, 10);
    else if (name == "--minutes") o.minutes = std::strtod(argv[++i], nullptr);
    else if (name == "--first") o.first = std::strtoull(argv[++i], nullptr, 10);
    else if (name == "--isa") o.cap = parse_isa(argv[++i]);
    else if (name == "--config") o.config = argv[++i];
    else if (name == "--print") o.reduce = std::strtoull(argv[++i], nullptr, 10), o.printing = true;
    else if (name == "--reduce") o.reduce = std::strtoull(argv[++i], nullptr, 10), o.reducing = true;
    else usage(("what is " + name + "?").c_str());
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

int reduce_seed(const Options& o) {
  const Program p = random_program(o.reduce);
  for (const Config& config : configs_for(o, o.reduce))
    if (fails_in_child(p, config)) {
      report_difference(p, config, "reducing");
      return 1;
    }
  std::puts("no difference");
  return 0;
}

/// False when a configuration differs.
bool check_seed(const Options& o, uint64_t seed, Rates& rates) {
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

int run(const Options& o) {
  if (o.reducing) return reduce_seed(o);
  if (o.printing) return std::puts(reproducer(random_program(o.reduce), configs_for(o, o.reduce)[0]).c_str()) < 0;
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto minutes = [&] { return std::chrono::duration<double>(Clock::now() - start).count() / 60; };
  Rates rates;
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

int main(int argc, char** argv) { return sinter::test::run(sinter::test::parse(argc, argv)); }

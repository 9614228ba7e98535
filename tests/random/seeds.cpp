#include "seeds.h"
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace sinter::test {

namespace {

constexpr int kMostDifferences = 10;

[[noreturn]] void usage(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, what.c_str());
  std::exit(2);
}

Isa parse_isa(const std::string& name) {
  if (name == "avx512") return Isa::Avx512;
  if (name == "avx2") return Isa::Avx2;
  if (name == "none") return Isa::None;
  usage("--isa is avx512, avx2 or none");
}

}  // namespace

SeedOptions parse_seed_options(int argc, char** argv, uint64_t programs) {
  SeedOptions o;
  o.programs = programs;
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

std::vector<Config> configs_for(const SeedOptions& o, uint64_t seed) {
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

int run_seeds(const SeedOptions& o, const std::function<bool(uint64_t seed)>& check, const std::function<std::string()>& rates) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto minutes = [&] { return std::chrono::duration<double>(Clock::now() - start).count() / 60; };
  int differences = 0;
  double next_line = 1;
  for (uint64_t n = 0; o.minutes > 0 ? minutes() < o.minutes : n < o.programs; ++n) {
    if (!check(o.first + n) && (++differences == kMostDifferences || !o.keep_going)) break;
    if (minutes() < next_line) continue;
    std::printf("%.0f min, next seed %llu: %s\n", minutes(), static_cast<unsigned long long>(o.first + n + 1), rates().c_str());
    std::fflush(stdout);
    ++next_line;
  }
  return differences;
}

}  // namespace sinter::test

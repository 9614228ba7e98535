// Walks over states: `state_walks <how many> <first seed>`, `state_walks --minutes N [first seed]`,
// `state_walks --bytes HEX` (one walk as its listing printed it), `state_walks --corpus FOLDER` (seed files for the fuzzer).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include "runtime/cpu.h"
#include "walk.h"

using namespace sinter::test;

namespace {

int report(const Walk& walk, const std::string& what) {
  std::printf("seed %llu differs: %s\n", static_cast<unsigned long long>(walk.seed), what.c_str());
  std::fflush(stdout);
  const Walk small = shrink(walk);
  WalkCounts counts;
  std::printf("shrunk: %s\n%s", run_walk(small, counts).c_str(), listing(small).c_str());
  return 1;
}

void print(const WalkCounts& c, double seconds) {
  const auto share = [](int64_t part, int64_t all) {
    return all ? 100.0 * static_cast<double>(part) / static_cast<double>(all) : 0;
  };
  std::printf("%lld walks agree; %lld calls, of which %.1f %% only replayed and %.1f %% threw\n", static_cast<long long>(c.walks),
              static_cast<long long>(c.calls), share(c.replayed, c.calls), share(c.thrown, c.calls));
  std::printf("compiled %lld regions, of which %lld recompiles; interpreted %lld, fell back to eager %lld times\n",
              static_cast<long long>(c.compiles), static_cast<long long>(c.recompiles), static_cast<long long>(c.interpreted),
              static_cast<long long>(c.fallbacks));
  std::printf("%lld changes undone, %lld checks that seen states compile nothing; %.2f ms a walk\nchanges:",
              static_cast<long long>(c.undone), static_cast<long long>(c.precision_checks),
              c.walks ? 1e3 * seconds / static_cast<double>(c.walks) : 0.0);
  for (size_t i = 0; i < c.changes.size(); ++i)
    std::printf(" %s %lld%s", change_name(i).c_str(), static_cast<long long>(c.changes[i]),
                i + 1 < c.changes.size() ? "," : "\n");
}

int write_corpus(const std::string& folder) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const std::vector<uint8_t> bytes = bytes_of_walk(random_walk(seed, 20));
    std::ofstream file(folder + "/walk_" + std::to_string(seed), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file) return std::fprintf(stderr, "cannot write to %s\n", folder.c_str()), 1;
  }
  return 0;
}

Walk walk_of_hex(const char* hex) {
  std::vector<uint8_t> bytes;
  for (; hex[0] && hex[1]; hex += 2) {
    const char pair[] = {hex[0], hex[1], 0};
    bytes.push_back(static_cast<uint8_t>(std::strtoul(pair, nullptr, 16)));
  }
  return walk_of_bytes(bytes.data(), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  const auto is = [&](const char* option) { return argc > 2 && std::strcmp(argv[1], option) == 0; };
  if (is("--corpus")) return write_corpus(argv[2]);
  WalkCounts counts;
  if (is("--bytes")) {
    const Walk walk = walk_of_hex(argv[2]);
    const std::string d = run_walk(walk, counts);
    std::printf("%s%s\n", listing(walk).c_str(), d.empty() ? "agrees" : d.c_str());
    return !d.empty();
  }
  const bool timed = is("--minutes");
  const double minutes = timed ? std::strtod(argv[2], nullptr) : 0;
  const uint64_t n = timed ? UINT64_MAX : argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000;
  const uint64_t first = argc > 2 + timed ? std::strtoull(argv[2 + timed], nullptr, 10) : 1;
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  for (uint64_t i = 0; i < n && (!timed || seconds() < minutes * 60); ++i) {
    const Walk walk = random_walk(first + i);
    if (const std::string d = run_walk(walk, counts); !d.empty()) return report(walk, d);
  }
  print(counts, seconds());
  // A walk whose calls mostly throw or never replay would test nothing.
  const bool replays = counts.replayed * 5 > counts.calls || sinter::isa() == sinter::Isa::None;
  return counts.thrown * 2 < counts.calls && replays ? 0 : 1;
}

// Eager against compiled on random programs: `random_programs <how many> <first seed>`.
#include <cstdio>
#include <cstdlib>
#include "program.h"

using namespace sinter::test;

int main(int argc, char** argv) {
  const uint64_t n = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2000;
  const uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  int64_t valid = 0, invalid = 0;
  for (uint64_t seed = first; seed < first + n; ++seed) {
    const Program p = random_program(seed);
    const std::string d = check_program(p, valid, invalid);
    if (d.empty()) continue;
    const Program small = reduce(p);
    int64_t v = 0, i = 0;
    std::printf("seed %llu differs: %s\nreduced: %s\n%s", static_cast<unsigned long long>(seed), d.c_str(),
                check_program(small, v, i).c_str(), listing(small).c_str());
    return 1;
  }
  const double rate = static_cast<double>(valid) / static_cast<double>(valid + invalid);
  std::printf("%llu random programs agree; %.1f %% of their statements were valid\n", static_cast<unsigned long long>(n),
              100 * rate);
  return rate >= 0.6 ? 0 : 1;
}

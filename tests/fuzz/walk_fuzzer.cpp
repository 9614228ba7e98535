// libFuzzer entry: bytes are a walk over states; a difference between eager and compiled is a crash with its listing.
#include <cstdio>
#include <cstdlib>
#include "tests/walks/walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sinter::test;
  const Walk walk = walk_of_bytes(data, size);
  WalkCounts counts;
  const std::string d = run_walk(walk, counts);
  if (d.empty()) return 0;
  std::fprintf(stderr, "%s\n%s", d.c_str(), listing(walk).c_str());
  std::abort();
}

// Bytes to a random program, one choice a byte or two, so that coverage guides each of them; eager against compiled. The
// first byte chooses the configuration.
#include <cstdio>
#include <cstdlib>
#include "../random/check.h"
#include "../random/generate.h"
#include "../random/reduce.h"

using namespace sinter::test;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return -1;
  const std::vector<Config> all = configurations(data[1]);
  ByteChoices choices(data + 2, size - 2);
  const Program p = generate_program(choices);
  Rates rates;
  for (const Config& config : {all[0], all[data[0] % all.size()]}) {
    const std::string difference = check_program(p, config, rates);
    if (difference.empty()) continue;
    std::fprintf(stderr, "%s: %s\n%s", config.name.c_str(), difference.c_str(), reproducer(p, config).c_str());
    std::abort();
  }
  return 0;
}

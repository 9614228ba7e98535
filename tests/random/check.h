// Checks a program: eager against compiled, in one configuration of the compiler.
#pragma once
#include "program.h"
#include "rates.h"
#include "runtime/cpu.h"
#include "runtime/stress.h"

namespace sinter::test {

struct Config {
  std::string name;
  Stress stress;
  Isa cap = Isa::Avx512;
};

/// A configuration for one check; what is compiled under it goes with it.
class ConfigScope {
 public:
  explicit ConfigScope(const Config& config);
  ~ConfigScope();
  ConfigScope(const ConfigScope&) = delete;
  ConfigScope& operator=(const ConfigScope&) = delete;

 private:
  Isa before_;
};

/// The default first, then: no fusion, each pass off that may be, kernel stress, random closes, all stress at once. What is
/// random in a configuration is drawn from `seed`.
std::vector<Config> configurations(uint64_t seed);
/// The instruction set that a seed's programs are compiled for when none is asked for: avx512 mostly.
Isa usual_cap(uint64_t seed);
/// Runs every call of the program eager and compiled; empty when all agree, else the first difference.
std::string check_program(const Program& p, const Config& config, Rates& rates);

}  // namespace sinter::test

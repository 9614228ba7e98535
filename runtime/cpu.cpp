#include "cpu.h"
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include "env.h"
#include "log.h"

namespace sinter {

Isa detected_isa() {
  static const Isa level = [] {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512cd");
    return avx512 ? Isa::Avx512 : avx2 ? Isa::Avx2 : Isa::None;
  }();
  return level;
}

namespace {
Isa initial_cap() {
  const std::string& cap = env().isa;
  if (cap.empty() || cap == "avx512") return Isa::Avx512;
  if (cap == "avx2") return Isa::Avx2;
  if (cap == "none") return Isa::None;
  warn("SINTER_ISA='" + cap + "' is not one of avx512, avx2, none; ignored", "isa");
  return Isa::Avx512;
}
}  // namespace

constinit std::atomic<int> detail::isa_level{-1};

Isa detail::find_isa() {
  int unknown = -1;
  isa_level.compare_exchange_strong(unknown, static_cast<int>(std::min(detected_isa(), initial_cap())));
  return static_cast<Isa>(isa_level.load());
}

void set_isa_cap(Isa cap) { detail::isa_level.store(static_cast<int>(std::min(detected_isa(), cap))); }

const char* isa_name(Isa isa) { return isa == Isa::Avx512 ? "avx512" : isa == Isa::Avx2 ? "avx2" : "none"; }

int64_t last_level_cache_bytes() {
  static const int64_t bytes = [] {
    const long l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    return l3 > 0 ? static_cast<int64_t>(l3) : int64_t{32} << 20;
  }();
  return bytes;
}

}  // namespace sinter

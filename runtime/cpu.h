// Which vector instructions to use: the CPU's, capped by SINTER_ISA.
#pragma once
#include <atomic>
#include <cstdint>

namespace sinter {

/// None: no generated code; eager kernels of the base level.
enum class Isa : uint8_t { None, Avx2, Avx512 };

/// What this CPU and operating system offer.
Isa detected_isa();
namespace detail {
extern constinit std::atomic<int> isa_level;  // -1: not looked at yet
Isa find_isa();
}  // namespace detail
/// The level in use: the smaller of detected and the cap (SINTER_ISA, or set_isa_cap).
inline Isa isa() {
  const int level = detail::isa_level.load(std::memory_order_relaxed);
  return level >= 0 ? static_cast<Isa>(level) : detail::find_isa();
}
/// Lowers the level at run time (tests, benchmarks). Kernels of another level are not reused.
void set_isa_cap(Isa cap);
const char* isa_name(Isa isa);
/// Bytes of the last-level cache this thread can use; 32 MiB when unknown.
int64_t last_level_cache_bytes();

}  // namespace sinter

// Which vector instructions to use: the CPU's, capped by SINTER_ISA.
#pragma once
#include <cstdint>

namespace sinter {

/// None: no generated code; eager kernels of the base level.
enum class Isa : uint8_t { None, Avx2, Avx512 };

/// What this CPU and operating system offer.
Isa detected_isa();
/// The level in use: the smaller of detected and the cap (SINTER_ISA, or set_isa_cap).
Isa isa();
/// Lowers the level at run time (tests, benchmarks). Kernels of another level are not reused.
void set_isa_cap(Isa cap);
const char* isa_name(Isa isa);
/// Bytes of the last-level cache this thread can use; 32 MiB when unknown.
int64_t last_level_cache_bytes();

}  // namespace sinter

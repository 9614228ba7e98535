// Executable memory for all kernels of the process: blocks mapped twice (code_mapping.h), bounded by SINTER_CODE_BYTES.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sinter::codegen {

/// Why install_code gave nothing. Full: freeing other code may help. Refused: by the system, maybe only for now.
enum class NoCode : uint8_t { None, Full, TooLarge, Refused };

/// Most bytes of one kernel.
inline constexpr size_t kMaxKernelBytes = size_t{256} << 10;

/// Copies `n` (at least 1) bytes of position-independent code to executable memory, 64-byte aligned. Null and why when there
/// is no room. Thread-safe; the code stays where it is until free_code. Around a fork(), both processes keep all code, and
/// neither writes memory that the other executes.
void* install_code(const uint8_t* bytes, size_t n, NoCode& why);
/// `code`, `n` as installed.
void free_code(void* code, size_t n) noexcept;

/// Whether executable memory can be had, found out by running a two-instruction function. A refusal is remembered unless the
/// system was out of something. `why` (may be null): the system's word for it.
bool code_memory_works(const char** why = nullptr);

/// bytes_in_use: installed code in granules of 64 bytes. bytes_mapped: whole blocks, never more than the limit.
/// sealed_blocks: those a fork has closed for new code.
struct CodeMemoryStats {
  size_t bytes_in_use, bytes_mapped, bytes_limit, blocks, sealed_blocks;
};
CodeMemoryStats code_memory_stats();

}  // namespace sinter::codegen

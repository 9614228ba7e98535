// Executable memory, mapped twice: written through one address, executed through the other, never both at one address.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sinter::codegen {

/// Copies code to executable memory. Null when the system refuses or the bound is reached.
void* install_code(const uint8_t* bytes, size_t n);
void free_code(void* code, size_t n);
/// Bytes of installed code.
size_t code_bytes_in_use();
/// Whether executable memory can be had; tried once, by running a two-instruction function.
bool code_memory_works();

/// Most bytes of code at one time.
inline constexpr size_t kCodeBytesLimit = size_t{64} << 20;

}  // namespace sinter::codegen

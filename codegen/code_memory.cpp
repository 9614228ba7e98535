#include "code_memory.h"
#include <asmjit/core.h>
#include <atomic>
#include <cstring>
#include "../runtime/mutants.h"

namespace sinter::codegen {

namespace {

std::atomic<size_t> bytes_in_use{0};

/// Never destroyed: kernels may be freed by destructors of static objects.
asmjit::JitAllocator& allocator() {
  static asmjit::JitAllocator& a = *[] {
    asmjit::JitAllocator::CreateParams params;
    params.options =
        (SINTER_MUTANT(code_is_writable) ? asmjit::JitAllocatorOptions::kNone : asmjit::JitAllocatorOptions::kUseDualMapping) |
        asmjit::JitAllocatorOptions::kFillUnusedMemory;
    params.blockSize = 1 << 20;
    return new asmjit::JitAllocator(&params);
  }();
  return a;
}

bool probe() {
  const uint8_t answer[] = {0xf3, 0x0f, 0x1e, 0xfa, 0xb8, 42, 0, 0, 0, 0xc3};  // endbr64; mov eax, 42; ret
  void* code = install_code(answer, sizeof answer);
  if (!code) return false;
  const bool works = reinterpret_cast<int (*)()>(code)() == 42;
  free_code(code, sizeof answer);
  return works;
}

}  // namespace

void* install_code(const uint8_t* bytes, size_t n) {
  if (bytes_in_use.load(std::memory_order_relaxed) + n > kCodeBytesLimit) return nullptr;
  void *rx = nullptr, *rw = nullptr;
  if (allocator().alloc(&rx, &rw, n) != asmjit::kErrorOk) return nullptr;
  // Without a second mapping AsmJit would fall back to pages that are writable and executable.
  if (rx == rw && !SINTER_MUTANT(code_is_writable)) {
    allocator().release(rx);
    return nullptr;
  }
  std::memcpy(rw, bytes, n);
  bytes_in_use += n;
  return rx;
}

void free_code(void* code, size_t n) {
  if (allocator().release(code) == asmjit::kErrorOk) bytes_in_use -= n;
}

size_t code_bytes_in_use() { return bytes_in_use.load(std::memory_order_relaxed); }

bool code_memory_works() {
  static const bool works = probe();
  return works;
}

}  // namespace sinter::codegen

// Calls a kernel with junk in every register it may not rely on, and records what it may not change.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include "codegen/kernel.h"
#include "runtime/cpu.h"

namespace sinter::test {

/// Layout known to the assembly below.
struct WatchedCall {
  void* fn;
  void* const* operands;
  const uint64_t* scalars;
  void* scratch;
  uint64_t rsp;        // 32
  uint64_t before[6];  // 40: rbx, rbp, r12 to r15
  uint64_t after[6];   // 88
  uint64_t rsp_after;  // 136
  uint64_t flags;      // 144
  uint32_t mxcsr;      // 152
  uint32_t mxcsr_after;
  uint64_t junk;  // 160: in all other registers
  uint32_t avx512;
  uint32_t mxcsr_caller;
  alignas(64) uint8_t vectors[16][64];  // 192: vector registers 0 to 15 afterwards
};
static_assert(offsetof(WatchedCall, vectors) == 192);

extern "C" void sinter_test_watched_call(WatchedCall*);

// clang-format off
asm(R"(
.lcomm sinter_test_watched, 8
.text
.type sinter_test_watched_call, @function
sinter_test_watched_call:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  sub $8, %rsp
  mov %rdi, sinter_test_watched(%rip)
  mov %rsp, 32(%rdi)
  stmxcsr 172(%rdi)
  ldmxcsr 152(%rdi)
  cmpl $0, 168(%rdi)
  je 1f
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  vpbroadcastq 160(%rdi), %zmm\n
  .endr
  .irp n, 0,1,2,3,4,5,6,7
  kmovq 160(%rdi), %k\n
  .endr
  jmp 2f
1:
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  vpbroadcastq 160(%rdi), %ymm\n
  .endr
2:
  mov 40(%rdi), %rbx
  mov 48(%rdi), %rbp
  mov 56(%rdi), %r12
  mov 64(%rdi), %r13
  mov 72(%rdi), %r14
  mov 80(%rdi), %r15
  mov 0(%rdi), %rax
  mov 16(%rdi), %rsi
  mov 24(%rdi), %rdx
  mov 160(%rdi), %rcx
  mov %rcx, %r8
  mov %rcx, %r9
  mov %rcx, %r10
  mov %rcx, %r11
  mov 8(%rdi), %rdi
  call *%rax
  mov sinter_test_watched(%rip), %r11
  mov %rsp, 136(%r11)
  mov 32(%r11), %rsp
  pushfq
  popq 144(%r11)
  cld
  stmxcsr 156(%r11)
  ldmxcsr 172(%r11)
  mov %rbx, 88(%r11)
  mov %rbp, 96(%r11)
  mov %r12, 104(%r11)
  mov %r13, 112(%r11)
  mov %r14, 120(%r11)
  mov %r15, 128(%r11)
  cmpl $0, 168(%r11)
  je 3f
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  vmovups %zmm\n, 192+64*\n(%r11)
  .endr
  jmp 4f
3:
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  vmovups %ymm\n, 192+64*\n(%r11)
  .endr
4:
  vzeroupper
  add $8, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
.size sinter_test_watched_call, .-sinter_test_watched_call
)");
// clang-format on

/// What a call left wrong, or nothing. `junk`: content of the registers a kernel may not rely on; `mxcsr`: the caller's.
inline std::string watched_call(const codegen::Kernel& k, void* const* operands, const uint64_t* scalars, void* scratch,
                                uint64_t junk, uint32_t mxcsr = 0x1f80) {
  static WatchedCall w;  // not on the stack: a broken rsp must not hide it
  std::memset(&w, 0, sizeof w);
  w.fn = reinterpret_cast<void*>(k.fn);
  w.operands = operands;
  w.scalars = scalars;
  w.scratch = scratch;
  w.junk = junk;
  w.mxcsr = mxcsr;
  w.avx512 = detected_isa() >= Isa::Avx512;
  for (uint64_t i = 0; i < 6; ++i) w.before[i] = w.after[i] = 0x5eed0000 + i * 0x1234567;
  sinter_test_watched_call(&w);
  static const char* const names[] = {"rbx", "rbp", "r12", "r13", "r14", "r15"};
  constexpr uint64_t kDirection = 0x400;
  constexpr uint32_t kSticky = 0x3f;  // exception flags; the rest of MXCSR is the caller's
  for (int i = 0; i < 6; ++i)
    if (w.after[i] != w.before[i]) return std::string(names[i]) + " changed";
  if (w.rsp_after != w.rsp) return "rsp changed";
  if (w.flags & kDirection) return "direction flag set";
  if ((w.mxcsr ^ w.mxcsr_after) & ~kSticky) return "MXCSR changed";
  static constexpr uint8_t zeros[48] = {};
  const bool empty = k.code_bytes >= 5 && k.code()[4] == 0xc3;  // endbr64; ret
  for (int r = 0; r < 16 && !empty; ++r)
    if (std::memcmp(w.vectors[r] + 16, zeros, w.avx512 ? 48 : 16) != 0)
      return "upper half of vector register " + std::to_string(r) + " in use";
  return "";
}

}  // namespace sinter::test

// A compiled kernel and the process-wide cache of them.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>
#include "../runtime/cpu.h"
#include "loop/loop_spec.h"

namespace sinter::codegen {

/// operands: address of each operand's first element. scalars: one 8-byte slot each, already converted to the
/// scalar's dtype (float32 in the low 4 bytes); after them the size_arguments() of the spec (int64), or for one with
/// LoopSpec::split the begin and end of the range to do (int64; multiples of Kernel::split_step, or the end of the dimension).
/// scratch: 64-byte aligned, Kernel::scratch_for() bytes long.
using KernelFn = void (*)(void* const* operands, const uint64_t* scalars, void* scratch);

/// Which instructions [begin, end) of the code belong to which LoopSpec node (-1: loop control, -2: prologue).
struct CodeRange {
  uint32_t begin, end;
  int32_t node;
};

/// Immutable; its code is freed with the last reference.
class Kernel {
 public:
  virtual ~Kernel() = default;
  KernelFn fn = nullptr;
  size_t code_bytes = 0;
  size_t scratch_bytes = 0;  // for each 16 elements of the last dimension when that is an argument
  /// `last`: extent of the last dimension.
  size_t scratch_for(int64_t last) const {
    return spec.sizes.back() == kAnySize ? scratch_bytes * static_cast<size_t>((last + 15) / 16) : scratch_bytes;
  }
  double element_flops = 0, row_flops = 0;  // floating-point operations: of an element of the space, of a row (or column) beside
  int64_t split_step = 1;
  std::string name;
  LoopSpec spec;
  std::vector<CodeRange> ranges;
  double compile_us = 0;
  const uint8_t* code() const { return reinterpret_cast<const uint8_t*>(fn); }
};

/// Why there is no kernel. CodeMemoryFull: freeing other kernels and asking again may help. Refused: no executable memory
/// (maybe only for now), or an ISA cap of `none`. NotEmittable: never for this spec.
enum class NoKernel : uint8_t { None, CodeMemoryFull, Refused, NotEmittable };

/// Finds or emits the kernel for `spec` under the current ISA cap. Null, and `why` set, when there is none: the caller runs
/// eager kernels then. Thread-safe, also around fork(); equal specs share code.
std::shared_ptr<const Kernel> get_kernel(const LoopSpec& spec, NoKernel* why = nullptr);

/// Bytes of outputs from which a kernel's stores bypass the caches.
int64_t stream_threshold_bytes();

/// Picks a bucket of the cache; whether two kernels are the same is decided by comparing all of both specs.
uint64_t kernel_hash(const LoopSpec& spec, Isa isa);

/// Disassembly, one instruction per line, grouped by node; `note(node)` gives the comment of a group (may be empty).
std::string disassemble(const Kernel& kernel, const std::vector<std::string>& node_notes);

/// False when the system refuses executable memory (logged once) or SINTER_ISA=none.
bool jit_available();

/// Living kernels and the bytes of their code (in granules of 64); kernels compiled and lookups answered since the start.
struct CodeStats {
  size_t kernels, code_bytes, compiled, cache_hits;
};
CodeStats code_stats();
/// Drops what the cache remembers of kernels that are gone.
void forget_dead_kernels();

}  // namespace sinter::codegen

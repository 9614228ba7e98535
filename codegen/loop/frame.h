// What all pieces of one kernel's code share: stack slots, operand pointers, pinned registers, cold code, the data pool.
#pragma once
#include <asmjit/x86.h>
#include <vector>
#include "../kernel.h"
#include "const_pool.h"
#include "ir.h"
#include "tuning.h"

namespace sinter::codegen {

namespace x86 = asmjit::x86;

/// Fixed general registers: rax is free between any two instructions of the IR; rcx is the element index along the last
/// dimension; rdx the scratch memory; rdi the outer index of a reduction (end of the block, or the row of a column), or the
/// extent of the last dimension when that is an argument (of columns it stays in its slot).
inline const x86::Gp kTemp = x86::rax, kIndex = x86::rcx, kScratch = x86::rdx, kOuter = x86::rdi;

/// One Reduce node's running values: `copies` vectors, each in a pinned register or in its stack slot.
struct Accumulator {
  ReduceKind kind = ReduceKind::Sum;
  Elt elt = Elt::F32;
  int copies = 0;
  int8_t reg[16] = {};
  int32_t slot = 0;     // copies * 64 bytes
  int32_t total = -1;   // slot of the second level (sums of more than one block)
  int32_t value = -1;   // slot of the result
  bool single = false;  // one element: the result is that element
};

/// A value with a home kept in a register over a whole loop.
struct Pin {
  Home home;
  int32_t offset;
  uint8_t bytes, lane;
  int8_t reg;
};

/// A row buffer of rows of any length: its address is found in the prologue. `offset`: bytes in front of it for each 16 elements.
struct RowBuffer {
  int32_t slot, offset;
};

/// Out-of-line call of a slow path.
struct ColdCall {
  asmjit::Label entry, back;
  int32_t descriptor;
};

class KernelFrame {
 public:
  /// `below`: stack bytes at rsp that are somebody else's, a multiple of 64.
  KernelFrame(x86::Assembler& assembler, const LoopSpec& spec_, Isa isa_, const Tuning& tuning_, int32_t below = 0);

  bool avx512() const { return isa == Isa::Avx512; }
  uint32_t all_vectors() const { return static_cast<uint32_t>((uint64_t{1} << tuning.vectors) - 1); }

  /// Stack memory, 64-byte aligned; returns the offset from rsp. `release` gives back everything above `mark`.
  int32_t alloc(int32_t bytes);
  /// 128 bytes for use within one instruction; apart from alloc, because spill slots may be taken at any time.
  int32_t lane_buffer() const { return lane_buffer_; }
  int32_t mark() const { return top_; }
  void release(int32_t mark) { top_ = mark; }
  int32_t frame_bytes() const { return most_; }

  /// LoopSpec::split is this dimension.
  bool splits(size_t dim) const { return spec.split == static_cast<int32_t>(dim); }
  x86::Mem range_begin() const { return x86::qword_ptr(x86::rsp, range_slot); }
  x86::Mem range_end() const { return x86::qword_ptr(x86::rsp, range_slot + 8); }
  x86::Mem range_rounds() const { return x86::qword_ptr(x86::rsp, range_slot + 16); }

  x86::Mem pool_mem(int32_t offset) const { return x86::ptr(pool_label, offset); }
  /// Base register of an operand; loads it into rax when it lives on the stack.
  x86::Gp pointer(int operand);
  /// pointer += bytes.
  void bump(int operand, int64_t bytes);
  /// The operand moves one step along `dim`, or back to the start of the dimension.
  void step(int operand, size_t dim);
  void rewind(int operand, size_t dim);
  void add_constant(const x86::Gp& reg, int64_t value);

  // What is an argument (symbolic.cpp): valid after load_size_arguments()
  bool any_size(size_t dim) const { return spec.sizes[dim] == kAnySize; }
  bool any_last() const { return any_size(spec.sizes.size() - 1); }
  x86::Mem extent(size_t dim) const { return x86::qword_ptr(x86::rsp, extent_slot[dim]); }
  x86::Mem byte_stride(int operand, size_t dim) const {
    return x86::qword_ptr(x86::rsp, stride_slot[static_cast<size_t>(operand) * spec.sizes.size() + dim]);
  }
  /// Loads them from behind the scalars (rsi); rdi and rdx stay.
  void load_size_arguments();

  x86::Vec vec(int reg, int bytes) {
    used_vectors |= 1u << reg;
    if (bytes == 64) return x86::zmm(static_cast<uint32_t>(reg));
    if (bytes == 32) return x86::ymm(static_cast<uint32_t>(reg));
    return x86::xmm(static_cast<uint32_t>(reg));
  }
  /// Loads a constant, table or slot into a register (bytes == 0: mask register).
  void load_home(int reg, int bytes, int lane, Home home, int32_t offset);
  void note(int32_t node);

  x86::Assembler& a;
  const LoopSpec& spec;
  const Isa isa;
  const Tuning tuning;
  const int lanes;
  ConstPool pool;
  asmjit::Label pool_label, thunk;
  bool thunk_used = false;
  bool index_is_zero = false;         // rcx is not set up: uniform code, every operand has stride 0 along the last dimension
  std::vector<int8_t> pointer_reg;    // per operand: general register or -1
  std::vector<int32_t> pointer_slot;  // per operand: stack slot when there is no register
  std::vector<int32_t> counter_slot;  // per dimension: index of an outer loop, or -1
  std::vector<int32_t> extent_slot;   // per dimension: extent that is an argument, or -1
  std::vector<int32_t> stride_slot;   // per operand and dimension: bytes of a stride that is an argument, or -1
  std::vector<int32_t> index_slot;    // per operand: byte offsets of the lanes, when the last stride is an argument
  std::vector<RowBuffer> row_buffers;
  int32_t fold_slot = -1;            // fold mask of a reduced dimension of any size
  int32_t start_slot[2] = {-1, -1};  // its start value of sums of floats and doubles
  int32_t tail_slot[2] = {-1, -1};   // AVX2 and a last dimension of any size: the tail's mask for lanes of 4 and 8 bytes
  int32_t tail_count_slot = -1;      // and how many lanes it has
  int32_t range_slot = -1;           // LoopSpec::split: begin, end, and where the last whole round of it ends
  int64_t split_step = 1;            // the rounds' length
  std::vector<Accumulator> accumulators;
  std::vector<Pin> pins;
  uint32_t reserved_vectors = 0;  // pinned
  uint32_t used_vectors = 0;
  std::vector<ColdCall> cold;
  std::vector<CodeRange> ranges;

 private:
  void find_tail();
  void find_lane_offsets();
  void find_start_values();
  void find_row_buffers();
  void add_to_pointer(int operand, const x86::Gp& bytes, bool back);
  int32_t top_ = 0, most_ = 0;
  int32_t lane_buffer_ = 0;
};

/// Emits cold calls and, when something calls C++ functions, the routine that saves and restores all registers.
void emit_cold_code(KernelFrame& f);
/// Puts a descriptor for the call routine into the pool.
int32_t call_descriptor(KernelFrame& f, LaneKind kind, void* fn, int count, int dst, int x, int y, int mask, int mask_lane);

}  // namespace sinter::codegen

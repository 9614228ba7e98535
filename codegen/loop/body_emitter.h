// Chooses registers for a piece of straight-line code and emits it.
#pragma once
#include "frame.h"

namespace sinter::codegen {

inline constexpr int kAnyTail = -1;

/// How one copy of a piece of code is instantiated.
struct BodyParams {
  int copy = 0;         // number of the vector along the last dimension, counted from the index register
  int tail = 0;         // valid lanes; 0 = all, kAnyTail = known at run time. k7 holds the mask (AVX-512)
  bool stream = false;  // non-temporal stores
  int result = -1;      // register that receives the value of Vop::Result
};

/// A register is free after its value's last use; when none is free the value needed last goes to its stack slot.
class BodyEmitter {
 public:
  explicit BodyEmitter(KernelFrame& frame) : f_(frame), a_(frame.a) {}
  void emit(const Ir& ir, const BodyParams& params);

 private:
  // Registers
  void begin(const Ir& ir);
  int take_vector();
  int take_mask();
  int evict(const int32_t* owner, int first, int last, uint32_t locked);
  int temp_vector();
  int temp_mask();
  int use(int32_t v);
  asmjit::Operand operand(int32_t v);
  int define(int32_t v);
  void finish_sources(const Inst& i);
  void end_inst();
  bool dies(const Inst& i, int k) const;
  x86::Vec vec(int reg, int bytes) { return f_.vec(reg, bytes); }
  x86::Vec vec_of(int reg, int32_t v) { return f_.vec(reg, ir_->regs[static_cast<size_t>(v)].bytes); }
  static x86::KReg kreg(int r) { return x86::k(static_cast<uint32_t>(r)); }
  int bytes_of(int32_t v) const { return ir_->regs[static_cast<size_t>(v)].bytes; }
  int lanes() const { return f_.lanes; }
  bool avx512() const { return f_.avx512(); }

  // Instructions by family
  void emit_inst(const Inst& i);
  void binary(const Inst& i);
  void unary(const Inst& i);
  void fused(const Inst& i);
  void compare(const Inst& i);
  void mask_op(const Inst& i);
  void mask_width(const Inst& i);
  void select(const Inst& i);
  void convert(const Inst& i);
  void convert_by_lane(const Inst& i);
  void call(const Inst& i);
  void slow_lanes(const Inst& i);
  void load(const Inst& i);
  void load_contiguous(const Inst& i, const x86::Mem& m);
  void load_bool(const Inst& i, const x86::Mem& m);
  void load_strided(const Inst& i);
  void load_bool_strided(const Inst& i);
  void load_broadcast(const Inst& i);
  void store(const Inst& i);
  void store_vector(const Inst& i, const x86::Mem& m);
  void store_bool(const Inst& i, const x86::Mem& m);
  void store_by_lane(const Inst& i, int64_t stride);
  void iota(const Inst& i);
  void buffer(const Inst& i);
  void accumulate(const Inst& i);
  void save_slot(const Inst& i);
  void result(const Inst& i);

  template <class F>
  void for_valid_lanes(bool whole, F&& one);
  x86::Mem element_mem(int operand);
  x86::Gp strided_base(int operand);
  void pack_bool(int dst, int mask_reg, int32_t mask_value);
  void unpack_bool(int dst, int32_t value, const x86::Mem& m);
  x86::Vec tail_mask(int lane);
  int valid_lanes() const { return p_.tail > 0 ? p_.tail : f_.lanes; }

  KernelFrame& f_;
  x86::Assembler& a_;
  const Ir* ir_ = nullptr;
  BodyParams p_;
  int position_ = 0;
  std::vector<int8_t> where_;   // register of each value, -1 = none
  std::vector<int32_t> spill_;  // stack slot of each value, -1 = none
  std::vector<int32_t> next_;   // next instruction that uses it
  std::vector<bool> pinned_;
  int32_t owner_[32];  // value in each vector register; kFree, kHeld
  int32_t mask_owner_[8];
  uint32_t locked_ = 0, mask_locked_ = 0, temps_ = 0, mask_temps_ = 0;
};

/// acc = acc (op) value, in the order of runtime/kernels/reduce_order.h; t1, t2: free registers (vector, or k for t1).
void emit_combine(KernelFrame& f, ReduceKind kind, Elt elt, int bytes, int acc, int value, int t1, int t2, bool masked);

}  // namespace sinter::codegen

// Straight-line vector code in SSA form: what an expression becomes before registers are chosen.
#pragma once
#include <cstdint>
#include <vector>
#include "../../runtime/cpu.h"
#include "const_pool.h"
#include "loop_spec.h"

namespace sinter::codegen {

/// Element of a vector value. I32 lives in the lanes of a float32; Mask is a k register or (AVX2) full-width lanes.
enum class Elt : uint8_t { F32, F64, I32, I64, Mask };
constexpr int elt_bytes(Elt e) { return e == Elt::F64 || e == Elt::I64 ? 8 : 4; }
Elt elt_of(ScalarType t);

enum class Vop : uint8_t {
  Add,
  Sub,
  Mul,
  Div,
  Min,
  Max,
  And,
  Or,
  Xor,
  AndNot,
  MulU32,
  Scalef,  // a, b
  Fma,
  Fnma,  // a * b + c, c - a * b
  Sqrt,
  Round,
  Move,  // Round: imm = 0 even, 1 floor, 3 trunc
  Shl,
  Shr,
  Sar,  // imm
  Cmp,  // imm = CmpPred
  MaskAnd,
  MaskOr,
  MaskXor,
  MaskNot,
  MaskConst,  // MaskConst: imm = 0 or 1
  WidenMask,
  NarrowMask,  // AVX2: 32-bit lanes <-> 64-bit lanes
  Select,      // a = mask, b = where set, c = where clear
  CvtF32I32,
  CvtI32F32,
  CvtF32F64,
  CvtF64F32,
  CvtI64F32,
  CvtI64F64,
  CvtF32I64,
  CvtF64I64,
  Call,       // a = x, b = y; imm = LaneKind
  SlowLanes,  // a = mask, b = fast, c = x
  Load,
  Store,
  BufferLoad,
  BufferStore,  // index = operand, or byte offset in scratch
  Iota,         // index = dimension
  Accumulate,   // a = value; index = number of the reduction
  SaveSlot,     // a = value; index = frame offset
  Result,       // a = value: to the register of BodyParams
};
enum class CmpPred : uint8_t { Eq = 0, Lt = 1, Le = 2, Test = 3, Ne = 4, Ge = 5, Gt = 6 };  // Test: a & b, AVX-512 integers
enum class LaneKind : uint8_t { Slow32, Call32, Call32x2, Call64, Call64x2, CallI64x2 };

struct Inst {
  Vop op;
  Elt elt;
  uint8_t imm = 0;
  bool dead = false;
  int32_t dst = -1;
  int32_t src[3] = {-1, -1, -1};
  int32_t next[3] = {0, 0, 0};  // instruction that uses src[i] next, kNever when this is the last use
  int32_t index = -1;
  int32_t node = -1;
  void* fn = nullptr;
};
inline constexpr int32_t kNever = INT32_MAX;

/// Where a value can be (re)loaded from without having been computed in this piece of code.
enum class Home : uint8_t { None, Const, Table, Slot };

struct VReg {
  uint8_t bytes = 0;  // of the register; 0 = k register
  uint8_t lane = 4;   // bytes of one lane
  Home home = Home::None;
  int32_t offset = 0;      // in the pool or the frame
  int32_t copy_bytes = 0;  // Slot: distance between the copies of an unrolled column
  int32_t uses = 0;
  int32_t first_use = kNever;
};

/// One piece of straight-line code.
class Ir {
 public:
  Ir(Isa isa, int lanes, ConstPool& pool) : isa_(isa), lanes_(lanes), pool_(pool) {}
  bool avx512() const { return isa_ == Isa::Avx512; }
  int lanes() const { return lanes_; }
  ConstPool& pool() { return pool_; }
  int32_t current_node = -1;

  int32_t new_reg(Elt e, int lane = 0);
  int32_t constant(Elt e, uint64_t bits);
  int32_t table(const void* data, int bytes, int lane);
  int32_t slot(Elt e, int lane, int32_t frame_offset, int32_t copy_bytes);
  Inst& push(Vop op, Elt elt, int32_t dst, int32_t a = -1, int32_t b = -1, int32_t c = -1, int imm = 0);
  /// Floating-point operations of one lane: a fused one counts twice, a call of the C library once. Of a finished piece.
  int flops() const;
  int lane_of(int32_t reg) const { return regs[static_cast<size_t>(reg)].lane; }

  /// Shares equal computations, removes what nothing needs, fills in next uses and `pressure`. Call once, when complete.
  void finish();

  std::vector<Inst> insts;
  std::vector<VReg> regs;
  int live_insts = 0;
  int pressure = 0;  // most vector registers live at one time (values with a home not counted)

 private:
  void share_equal();
  Isa isa_;
  int lanes_;
  ConstPool& pool_;
  struct ConstKey {
    uint64_t bits;
    Elt elt;
    int32_t reg;
  };
  std::vector<ConstKey> consts_;
};

}  // namespace sinter::codegen

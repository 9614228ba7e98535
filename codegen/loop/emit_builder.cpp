#include "emit_builder.h"
#include "../../runtime/math/scalef.h"
#include "../../runtime/mutants.h"
#include "../../runtime/scalar.h"

namespace sinter::codegen {

using V = EmitBuilder::V;

V EmitBuilder::constant_bits(ScalarType t, uint64_t bits) {
  if (t == ScalarType::Bool) return mask_constant(bits & 0xff);
  return {ir_.constant(elt_of(t), bits), elt_of(t)};
}

V EmitBuilder::constant(ScalarType t, double value) {
  switch (t) {
    case ScalarType::Float:
      return constant_bits(t, std::bit_cast<uint32_t>(static_cast<float>(value)));
    case ScalarType::Double:
      return constant_bits(t, std::bit_cast<uint64_t>(value));
    case ScalarType::Bool:
      return mask_constant(value != 0);
    default:
      return constant_bits(t, static_cast<uint64_t>(truncate_to_int64(value)));
  }
}

V EmitBuilder::constant(ScalarType t, int64_t value) {
  if (is_floating(t)) return constant(t, static_cast<double>(value));
  return t == ScalarType::Bool ? mask_constant(value != 0) : constant_bits(t, static_cast<uint64_t>(value));
}

V EmitBuilder::mask_constant(bool value) {
  const V r{ir_.new_reg(Elt::Mask), Elt::Mask};
  ir_.push(Vop::MaskConst, Elt::Mask, r.id, -1, -1, -1, value);
  return r;
}

V EmitBuilder::unary(Vop op, V a, int imm) {
  const V r{ir_.new_reg(a.elt), a.elt};
  ir_.push(op, a.elt, r.id, a.id, -1, -1, imm);
  return r;
}

V EmitBuilder::binary(Vop op, V a, V b) {
  if (a.elt == Elt::Mask) {  // arithmetic of bools: + and max are or, * and min are and
    switch (op) {
      case Vop::Add:
      case Vop::Or:
        return mask_binary(Vop::MaskOr, a, b);
      case Vop::Mul:
      case Vop::And:
        return mask_binary(Vop::MaskAnd, a, b);
      default:
        return mask_binary(Vop::MaskXor, a, b);
    }
  }
  const V r{ir_.new_reg(a.elt), a.elt};
  ir_.push(op, a.elt, r.id, a.id, b.id);
  return r;
}

V EmitBuilder::ternary(Vop op, V a, V b, V c) {
  const V r{ir_.new_reg(a.elt), a.elt};
  ir_.push(op, a.elt, r.id, a.id, b.id, c.id);
  return r;
}

/// Low 64 bits of the product. AVX2 has 32 x 32 -> 64 only: lo*lo + ((hi*lo + lo*hi) << 32).
V EmitBuilder::mul(V a, V b) {
  if (a.elt != Elt::I64 || ir_.avx512()) return binary(Vop::Mul, a, b);
  const V cross = add(binary(Vop::MulU32, unary(Vop::Shr, a, 32), b), binary(Vop::MulU32, a, unary(Vop::Shr, b, 32)));
  return add(binary(Vop::MulU32, a, b), unary(Vop::Shl, cross, 32));
}

V EmitBuilder::neg(V a) {
  switch (a.elt) {
    case Elt::F32:
      if (SINTER_MUTANT(neg_as_subtraction)) return sub({ir_.constant(Elt::F32, 0), Elt::F32}, a);
      return binary(Vop::Xor, a, {ir_.constant(Elt::I32, 0x80000000u), Elt::F32});
    case Elt::F64:
      return binary(Vop::Xor, a, {ir_.constant(Elt::I64, 0x8000000000000000u), Elt::F64});
    case Elt::Mask:
      return a;
    default:
      return sub({ir_.constant(a.elt, 0), a.elt}, a);
  }
}

V EmitBuilder::abs(V a) {
  switch (a.elt) {
    case Elt::F32:
      return binary(Vop::And, a, {ir_.constant(Elt::I32, 0x7fffffffu), Elt::F32});
    case Elt::F64:
      return binary(Vop::And, a, {ir_.constant(Elt::I64, 0x7fffffffffffffffu), Elt::F64});
    case Elt::Mask:
      return a;
    default:
      return select(lt(a, {ir_.constant(a.elt, 0), a.elt}), neg(a), a);
  }
}

V EmitBuilder::scalef(V p, V n) { return ir_.avx512() ? binary(Vop::Scalef, p, n) : math::scalef_by_bits(*this, p, n); }

V EmitBuilder::min_x86(V a, V b) {
  if (a.elt == Elt::Mask) return mask_and(a, b);
  if (a.elt == Elt::I64 && !ir_.avx512()) return select(lt(a, b), a, b);
  return SINTER_MUTANT(emit_min_swapped) ? binary(Vop::Min, b, a) : binary(Vop::Min, a, b);
}

V EmitBuilder::max_x86(V a, V b) {
  if (a.elt == Elt::Mask) return mask_or(a, b);
  if (a.elt == Elt::I64 && !ir_.avx512()) return select(gt(a, b), a, b);
  return SINTER_MUTANT(emit_max_swapped) ? binary(Vop::Max, b, a) : binary(Vop::Max, a, b);
}

V EmitBuilder::compare(CmpPred pred, V a, V b) {
  if (a.elt == Elt::Mask) return compare_bool(pred, a, b);
  if (!ir_.avx512() && (a.elt == Elt::I64 || a.elt == Elt::I32)) return compare_i64(pred, a, b);
  const V r{ir_.new_reg(Elt::Mask, elt_bytes(a.elt)), Elt::Mask};
  ir_.push(Vop::Cmp, a.elt, r.id, a.id, b.id, -1, static_cast<int>(pred));
  return r;
}

/// AVX2 integers have only == and >.
V EmitBuilder::compare_i64(CmpPred pred, V a, V b) {
  const auto direct = [&](CmpPred p, V x, V y) {
    const V r{ir_.new_reg(Elt::Mask, elt_bytes(x.elt)), Elt::Mask};
    ir_.push(Vop::Cmp, x.elt, r.id, x.id, y.id, -1, static_cast<int>(p));
    return r;
  };
  switch (pred) {
    case CmpPred::Eq:
      return direct(CmpPred::Eq, a, b);
    case CmpPred::Ne:
      return mask_not(direct(CmpPred::Eq, a, b));
    case CmpPred::Gt:
      return direct(CmpPred::Gt, a, b);
    case CmpPred::Lt:
      return direct(CmpPred::Gt, b, a);
    case CmpPred::Le:
      return mask_not(direct(CmpPred::Gt, a, b));
    default:
      return mask_not(direct(CmpPred::Gt, b, a));
  }
}

V EmitBuilder::compare_bool(CmpPred pred, V a, V b) {
  switch (pred) {
    case CmpPred::Eq:
      return mask_not(mask_xor(a, b));
    case CmpPred::Ne:
      return mask_xor(a, b);
    case CmpPred::Lt:
      return mask_and(mask_not(a), b);
    case CmpPred::Le:
      return mask_or(mask_not(a), b);
    case CmpPred::Gt:
      return mask_and(a, mask_not(b));
    default:
      return mask_or(a, mask_not(b));
  }
}

V EmitBuilder::mask_lanes(V mask, int lane) {
  if (!narrow_masks() || ir_.lane_of(mask.id) == lane) return mask;
  const V r{ir_.new_reg(Elt::Mask, lane), Elt::Mask};
  ir_.push(lane == 8 ? Vop::WidenMask : Vop::NarrowMask, Elt::Mask, r.id, mask.id);
  return r;
}

V EmitBuilder::mask_binary(Vop op, V a, V b) {
  int lane = 0;
  if (narrow_masks()) {
    lane = ir_.lane_of(a.id) == ir_.lane_of(b.id) ? ir_.lane_of(a.id) : 8;
    a = mask_lanes(a, lane);
    b = mask_lanes(b, lane);
  }
  const V r{ir_.new_reg(Elt::Mask, lane), Elt::Mask};
  ir_.push(op, Elt::Mask, r.id, a.id, b.id);
  return r;
}

V EmitBuilder::mask_not(V a) {
  const V r{ir_.new_reg(Elt::Mask, narrow_masks() ? ir_.lane_of(a.id) : 0), Elt::Mask};
  ir_.push(Vop::MaskNot, Elt::Mask, r.id, a.id);
  return r;
}

V EmitBuilder::select(V mask, V a, V b) {
  if (a.elt == Elt::Mask) return mask_or(mask_and(mask, a), mask_and(mask_not(mask), b));
  mask = mask_lanes(mask, elt_bytes(a.elt));
  const V r{ir_.new_reg(a.elt), a.elt};
  ir_.push(Vop::Select, a.elt, r.id, mask.id, a.id, b.id);
  return r;
}

V EmitBuilder::convert(Vop op, V a, Elt to) {
  const V r{ir_.new_reg(to), to};
  ir_.push(op, to, r.id, a.id);
  return r;
}

V EmitBuilder::cast(ScalarType to, V a) {
  const Elt e = elt_of(to);
  if (e == a.elt) return a;
  if (e == Elt::Mask) return ne(a, {ir_.constant(a.elt, 0), a.elt});
  if (a.elt == Elt::Mask) return select(a, constant(to, int64_t{1}), constant(to, int64_t{0}));
  switch (a.elt) {
    case Elt::F32:
      return convert(e == Elt::F64 ? Vop::CvtF32F64 : Vop::CvtF32I64, a, e);
    case Elt::F64:
      return convert(e == Elt::F32 ? Vop::CvtF64F32 : Vop::CvtF64I64, a, e);
    default:
      return convert(e == Elt::F32 ? Vop::CvtI64F32 : Vop::CvtI64F64, a, e);
  }
}

V EmitBuilder::slow_lanes(V mask, V fast, V x, float (*fn)(float)) {
  mask = mask_lanes(mask, 4);
  const V r{ir_.new_reg(Elt::F32), Elt::F32};
  ir_.push(Vop::SlowLanes, Elt::F32, r.id, mask.id, fast.id, x.id, static_cast<int>(LaneKind::Slow32)).fn =
      reinterpret_cast<void*>(fn);
  return r;
}

V EmitBuilder::call(LaneKind kind, V x, V y, void* fn) {
  const V r{ir_.new_reg(x.elt), x.elt};
  ir_.push(Vop::Call, x.elt, r.id, x.id, y.id, -1, static_cast<int>(kind)).fn = fn;
  return r;
}

}  // namespace sinter::codegen

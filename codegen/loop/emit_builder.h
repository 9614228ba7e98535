// runtime/math/builder.h implemented by appending vector instructions: the second instantiation of every expression.
#pragma once
#include <bit>
#include <type_traits>
#include "ir.h"

namespace sinter::codegen {

class EmitBuilder {
 public:
  struct V {
    int32_t id = -1;
    Elt elt = Elt::F32;
  };

  explicit EmitBuilder(Ir& ir) : ir_(ir) {}
  Ir& ir() { return ir_; }

  template <ScalarType T, class X>
  V k(X value) {
    if constexpr (std::is_floating_point_v<X>) return constant(T, static_cast<double>(value));
    else return constant(T, static_cast<int64_t>(value));
  }
  V f32(float value) { return {ir_.constant(Elt::F32, std::bit_cast<uint32_t>(value)), Elt::F32}; }
  V i32(int32_t value) { return {ir_.constant(Elt::I32, static_cast<uint32_t>(value)), Elt::I32}; }
  V constant_bits(ScalarType t, uint64_t bits);

  V add(V a, V b) { return binary(Vop::Add, a, b); }
  V sub(V a, V b) { return binary(Vop::Sub, a, b); }
  V mul(V a, V b);
  V div(V a, V b) { return binary(Vop::Div, a, b); }
  V neg(V a);
  V abs(V a);
  V sqrt(V a) { return unary(Vop::Sqrt, a); }
  V fma(V a, V b, V c) { return ternary(Vop::Fma, a, b, c); }
  V fnma(V a, V b, V c) { return ternary(Vop::Fnma, a, b, c); }
  V scalef(V p, V n);
  V min_x86(V a, V b);
  V max_x86(V a, V b);
  V round_even(V a) { return unary(Vop::Round, a, 0); }
  V floor(V a) { return unary(Vop::Round, a, 1); }
  V trunc(V a) { return unary(Vop::Round, a, 3); }

  V eq(V a, V b) { return compare(CmpPred::Eq, a, b); }
  V ne(V a, V b) { return compare(CmpPred::Ne, a, b); }
  V lt(V a, V b) { return compare(CmpPred::Lt, a, b); }
  V le(V a, V b) { return compare(CmpPred::Le, a, b); }
  V gt(V a, V b) { return compare(CmpPred::Gt, a, b); }
  V ge(V a, V b) { return compare(CmpPred::Ge, a, b); }

  V mask_and(V a, V b) { return mask_binary(Vop::MaskAnd, a, b); }
  V mask_or(V a, V b) { return mask_binary(Vop::MaskOr, a, b); }
  V mask_xor(V a, V b) { return mask_binary(Vop::MaskXor, a, b); }
  V mask_not(V a);
  V select(V mask, V a, V b);

  V as_i32(V a) { return {a.id, Elt::I32}; }
  V as_f32(V a) { return {a.id, Elt::F32}; }
  V to_i32(V a) { return convert(Vop::CvtF32I32, a, Elt::I32); }
  V to_f32(V a) { return convert(Vop::CvtI32F32, a, Elt::F32); }
  V i32_add(V a, V b) { return binary(Vop::Add, a, b); }
  V i32_sub(V a, V b) { return binary(Vop::Sub, a, b); }
  V i32_and(V a, V b) { return binary(Vop::And, a, b); }
  V i32_or(V a, V b) { return binary(Vop::Or, a, b); }
  V i32_xor(V a, V b) { return binary(Vop::Xor, a, b); }
  V i32_shl(V a, int k) { return unary(Vop::Shl, a, k); }
  V i32_shr(V a, int k) { return unary(Vop::Shr, a, k); }
  V i32_sar(V a, int k) { return unary(Vop::Sar, a, k); }
  V i32_eq(V a, V b) { return compare(CmpPred::Eq, a, b); }
  V i32_gt(V a, V b) { return compare(CmpPred::Gt, a, b); }
  V i32_has(V a, V bit) { return ir_.avx512() ? compare(CmpPred::Test, a, bit) : i32_eq(i32_and(a, bit), bit); }

  V bit_and(V a, V b) { return binary(Vop::And, a, b); }
  V bit_or(V a, V b) { return binary(Vop::Or, a, b); }
  V bit_xor(V a, V b) { return binary(Vop::Xor, a, b); }
  V bit_andnot(V a, V b) { return binary(Vop::AndNot, a, b); }

  V cast(ScalarType to, V a);

  /// The form masks have in memory and slots: as wide as the widest lane of the kernel.
  V mask_canonical(V a) { return mask_lanes(a, 8); }

  V slow_lanes(V mask, V fast, V x, float (*fn)(float));
  V call1(V x, float (*fn)(float)) { return call(LaneKind::Call32, x, {}, reinterpret_cast<void*>(fn)); }
  V call1(V x, double (*fn)(double)) { return call(LaneKind::Call64, x, {}, reinterpret_cast<void*>(fn)); }
  V call2(V x, V y, float (*fn)(float, float)) { return call(LaneKind::Call32x2, x, y, reinterpret_cast<void*>(fn)); }
  V call2(V x, V y, double (*fn)(double, double)) { return call(LaneKind::Call64x2, x, y, reinterpret_cast<void*>(fn)); }

  V call2(V x, V y, int64_t (*fn)(int64_t, int64_t)) { return call(LaneKind::CallI64x2, x, y, reinterpret_cast<void*>(fn)); }

 private:
  V constant(ScalarType t, double value);
  V constant(ScalarType t, int64_t value);
  V mask_constant(bool value);
  V unary(Vop op, V a, int imm = 0);
  V binary(Vop op, V a, V b);
  V ternary(Vop op, V a, V b, V c);
  V compare(CmpPred pred, V a, V b);
  V compare_i64(CmpPred pred, V a, V b);
  V compare_bool(CmpPred pred, V a, V b);
  V mask_binary(Vop op, V a, V b);
  V mask_lanes(V mask, int lane);
  V convert(Vop op, V a, Elt to);
  V call(LaneKind kind, V x, V y, void* fn);
  bool narrow_masks() const { return !ir_.avx512() && ir_.lanes() == 4; }
  Ir& ir_;
};

/// The expression of a Pointwise row (runtime/ops/pointwise.h) appended to the builder's code. @throws Error for what is no row.
EmitBuilder::V emit_expression(EmitBuilder& b, Op op, ScalarType compute, const EmitBuilder::V* in, int n_in, uint64_t attr);

}  // namespace sinter::codegen

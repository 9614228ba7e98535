// Arithmetic, masks and conversions.
#include <bit>
#include "../../runtime/error.h"
#include "../../runtime/mutants.h"
#include "body_emitter.h"

namespace sinter::codegen {

namespace I = asmjit::x86::Inst;
using asmjit::InstId;

namespace {

/// Instruction of a three-operand form; bitwise ones in the float domain, where AVX-512 can broadcast a constant.
InstId binary_id(Vop op, Elt e) {
  const bool d = e == Elt::F64, wide = elt_bytes(e) == 8, f = e == Elt::F32 || d;
  switch (op) {
    case Vop::Add:
      return f ? (d ? I::kIdVaddpd : I::kIdVaddps) : (wide ? I::kIdVpaddq : I::kIdVpaddd);
    case Vop::Sub:
      return f ? (d ? I::kIdVsubpd : I::kIdVsubps) : (wide ? I::kIdVpsubq : I::kIdVpsubd);
    case Vop::Mul:
      return f ? (d ? I::kIdVmulpd : I::kIdVmulps) : (wide ? I::kIdVpmullq : I::kIdVpmulld);
    case Vop::Div:
      return d ? I::kIdVdivpd : I::kIdVdivps;
    case Vop::Scalef:
      return I::kIdVscalefps;
    case Vop::Min:
      return f ? (d ? I::kIdVminpd : I::kIdVminps) : (wide ? I::kIdVpminsq : I::kIdVpminsd);
    case Vop::Max:
      return f ? (d ? I::kIdVmaxpd : I::kIdVmaxps) : (wide ? I::kIdVpmaxsq : I::kIdVpmaxsd);
    case Vop::And:
      return wide ? I::kIdVandpd : I::kIdVandps;
    case Vop::Or:
      return wide ? I::kIdVorpd : I::kIdVorps;
    case Vop::Xor:
      return wide ? I::kIdVxorpd : I::kIdVxorps;
    case Vop::AndNot:
      return wide ? I::kIdVandnpd : I::kIdVandnps;
    case Vop::MulU32:
      return I::kIdVpmuludq;
    default:
      break;
  }
  return I::kIdNone;
}

/// cmpps predicate: ordered and quiet, except Ne which is true for NaN. Integers use the EVEX numbering directly.
int float_predicate(CmpPred p) {
  switch (p) {
    case CmpPred::Eq:
      return SINTER_MUTANT(compare_eq_true_for_nan) ? 8 : 0;
    case CmpPred::Lt:
      return 17;
    case CmpPred::Le:
      return SINTER_MUTANT(compare_le_true_for_nan) ? 26 : 18;
    case CmpPred::Ne:
      return SINTER_MUTANT(compare_ne_false_for_nan) ? 12 : 4;
    case CmpPred::Ge:
      return SINTER_MUTANT(compare_ge_wrong) ? 25 : 29;
    default:
      return 30;
  }
}

}  // namespace

void BodyEmitter::binary(const Inst& i) {
  const x86::Vec a = vec_of(use(i.src[0]), i.src[0]);
  const asmjit::Operand b = operand(i.src[1]);
  finish_sources(i);
  a_.emit(binary_id(i.op, i.elt), vec_of(define(i.dst), i.dst), a, b);
}

void BodyEmitter::unary(const Inst& i) {
  const bool wide = elt_bytes(i.elt) == 8;
  if (i.op == Vop::Sqrt || i.op == Vop::Round) {
    const asmjit::Operand a = operand(i.src[0]);
    finish_sources(i);
    const x86::Vec dst = vec_of(define(i.dst), i.dst);
    if (i.op == Vop::Sqrt) a_.emit(wide ? I::kIdVsqrtpd : I::kIdVsqrtps, dst, a);
    else if (avx512()) a_.emit(wide ? I::kIdVrndscalepd : I::kIdVrndscaleps, dst, a, asmjit::imm(i.imm));
    else a_.emit(wide ? I::kIdVroundpd : I::kIdVroundps, dst, a, asmjit::imm(i.imm));
    return;
  }
  const x86::Vec a = vec_of(use(i.src[0]), i.src[0]);
  finish_sources(i);
  const x86::Vec dst = vec_of(define(i.dst), i.dst);
  switch (i.op) {
    case Vop::Shl:
      a_.emit(wide ? I::kIdVpsllq : I::kIdVpslld, dst, a, asmjit::imm(i.imm));
      break;
    case Vop::Shr:
      a_.emit(wide ? I::kIdVpsrlq : I::kIdVpsrld, dst, a, asmjit::imm(i.imm));
      break;
    case Vop::Sar:
      a_.emit(I::kIdVpsrad, dst, a, asmjit::imm(i.imm));
      break;
    default:
      a_.emit(I::kIdVmovaps, dst, a);
      break;
  }
}

/// The three forms differ in which operand is overwritten: take one that is not needed any more.
void BodyEmitter::fused(const Inst& i) {
  const bool d = i.elt == Elt::F64, n = i.op == Vop::Fnma;
  const InstId f213 = n ? (d ? I::kIdVfnmadd213pd : I::kIdVfnmadd213ps) : (d ? I::kIdVfmadd213pd : I::kIdVfmadd213ps);
  const InstId f231 = n ? (d ? I::kIdVfnmadd231pd : I::kIdVfnmadd231ps) : (d ? I::kIdVfmadd231pd : I::kIdVfmadd231ps);
  const int32_t va = i.src[0], vb = i.src[1], vc = i.src[2];
  const auto in_register = [&](int k) { return where_[static_cast<size_t>(i.src[k])] >= 0 && dies(i, k); };
  const bool distinct_c = vc != va && vc != vb;
  if (in_register(2) && distinct_c) {
    const x86::Vec c = vec_of(use(vc), vc), a = vec_of(use(va), va);
    const asmjit::Operand b = operand(vb);
    finish_sources(i);
    where_[static_cast<size_t>(i.dst)] = static_cast<int8_t>(c.id());
    owner_[c.id()] = i.dst;
    a_.emit(f231, c, a, b);
    return;
  }
  const bool over_a = in_register(0) && va != vc && va != vb, over_b = !over_a && in_register(1) && vb != vc && va != vb;
  const int32_t over = over_b ? vb : va, other = over_b ? va : vb;
  if (over_a || over_b) {
    const x86::Vec x = vec_of(use(over), over), y = vec_of(use(other), other);
    const asmjit::Operand c = operand(vc);
    finish_sources(i);
    where_[static_cast<size_t>(i.dst)] = static_cast<int8_t>(x.id());
    owner_[x.id()] = i.dst;
    a_.emit(f213, x, y, c);
    return;
  }
  const x86::Vec a = vec_of(use(va), va), b = vec_of(use(vb), vb);
  const x86::Vec dst = vec_of(define(i.dst), i.dst);
  const asmjit::Operand c = operand(vc);
  a_.emit(I::kIdVmovaps, dst, a);
  a_.emit(f213, dst, b, c);
  finish_sources(i);
}

void BodyEmitter::compare(const Inst& i) {
  const bool wide = elt_bytes(i.elt) == 8, f = i.elt == Elt::F32 || i.elt == Elt::F64;
  const auto pred = static_cast<CmpPred>(i.imm);
  const x86::Vec a = vec_of(use(i.src[0]), i.src[0]);
  const asmjit::Operand b = operand(i.src[1]);
  finish_sources(i);
  const int reg = define(i.dst);
  if (avx512()) {
    const x86::KReg k = kreg(reg);
    if (f) a_.emit(wide ? I::kIdVcmppd : I::kIdVcmpps, k, a, b, asmjit::imm(float_predicate(pred)));
    else if (pred == CmpPred::Test) a_.emit(I::kIdVptestmd, k, a, b);
    else a_.emit(wide ? I::kIdVpcmpq : I::kIdVpcmpd, k, a, b, asmjit::imm(i.imm));
    return;
  }
  const x86::Vec dst = vec_of(reg, i.dst);
  if (f) a_.emit(wide ? I::kIdVcmppd : I::kIdVcmpps, dst, a, b, asmjit::imm(float_predicate(pred)));
  else if (pred == CmpPred::Eq) a_.emit(wide ? I::kIdVpcmpeqq : I::kIdVpcmpeqd, dst, a, b);
  else a_.emit(wide ? I::kIdVpcmpgtq : I::kIdVpcmpgtd, dst, a, b);
}

void BodyEmitter::mask_op(const Inst& i) {
  const int a = i.src[0] >= 0 ? use(i.src[0]) : 0, b = i.src[1] >= 0 ? use(i.src[1]) : 0;
  if (avx512()) {
    finish_sources(i);
    const x86::KReg dst = kreg(define(i.dst));
    switch (i.op) {
      case Vop::MaskAnd:
        a_.kandw(dst, kreg(a), kreg(b));
        break;
      case Vop::MaskOr:
        a_.korw(dst, kreg(a), kreg(b));
        break;
      case Vop::MaskXor:
        a_.kxorw(dst, kreg(a), kreg(b));
        break;
      case Vop::MaskNot:
        a_.knotw(dst, kreg(a));
        break;
      default:
        i.imm ? a_.kxnorw(dst, dst, dst) : a_.kxorw(dst, dst, dst);
        break;
    }
    return;
  }
  const x86::Vec dst = vec_of(define(i.dst), i.dst);  // before the operands are freed: MaskNot writes it first
  const int n = bytes_of(i.dst);
  switch (i.op) {
    case Vop::MaskAnd:
      a_.emit(I::kIdVandps, dst, vec(a, n), vec(b, n));
      break;
    case Vop::MaskOr:
      a_.emit(I::kIdVorps, dst, vec(a, n), vec(b, n));
      break;
    case Vop::MaskXor:
      a_.emit(I::kIdVxorps, dst, vec(a, n), vec(b, n));
      break;
    case Vop::MaskNot:
      a_.emit(I::kIdVpcmpeqd, dst, dst, dst);
      a_.emit(I::kIdVxorps, dst, dst, vec(a, n));
      break;
    default:
      if (i.imm) a_.emit(I::kIdVpcmpeqd, dst, dst, dst);
      else a_.emit(I::kIdVxorps, dst, dst, dst);
      break;
  }
  finish_sources(i);
}

void BodyEmitter::mask_width(const Inst& i) {
  const int a = use(i.src[0]);
  const int dst = define(i.dst);
  if (i.op == Vop::WidenMask) {
    a_.vpmovsxdq(x86::ymm(static_cast<uint32_t>(dst)), x86::xmm(static_cast<uint32_t>(a)));
  } else {
    const x86::Vec d = vec(dst, 16);
    a_.emit(I::kIdVextracti128, d, vec(a, 32), asmjit::imm(1));
    a_.emit(I::kIdVshufps, d, vec(a, 16), d, asmjit::imm(0x88));
  }
  f_.used_vectors |= 1u << dst;
  finish_sources(i);
}

void BodyEmitter::select(const Inst& i) {
  const bool wide = elt_bytes(i.elt) == 8;
  const int mask = use(i.src[0]);
  const x86::Vec otherwise = vec_of(use(i.src[2]), i.src[2]);
  const asmjit::Operand chosen = operand(i.src[1]);
  finish_sources(i);
  const x86::Vec dst = vec_of(define(i.dst), i.dst);
  if (avx512()) {
    a_.k(kreg(mask));
    a_.emit(wide ? I::kIdVblendmpd : I::kIdVblendmps, dst, otherwise, chosen);
  } else {
    a_.emit(wide ? I::kIdVblendvpd : I::kIdVblendvps, dst, otherwise, chosen, vec(mask, bytes_of(i.dst)));
  }
}

void BodyEmitter::convert(const Inst& i) {
  const bool i64 = i.op == Vop::CvtI64F32 || i.op == Vop::CvtI64F64 || i.op == Vop::CvtF32I64 || i.op == Vop::CvtF64I64;
  if (i64 && !avx512()) return convert_by_lane(i);
  const x86::Vec a = vec_of(use(i.src[0]), i.src[0]);
  finish_sources(i);
  const x86::Vec dst = vec_of(define(i.dst), i.dst);
  InstId id = I::kIdNone;
  switch (i.op) {
    case Vop::CvtF32I32:
      id = I::kIdVcvtps2dq;
      break;
    case Vop::CvtI32F32:
      id = I::kIdVcvtdq2ps;
      break;
    case Vop::CvtF32F64:
      id = I::kIdVcvtps2pd;
      break;
    case Vop::CvtF64F32:
      id = I::kIdVcvtpd2ps;
      break;
    case Vop::CvtI64F32:
      id = I::kIdVcvtqq2ps;
      break;
    case Vop::CvtI64F64:
      id = I::kIdVcvtqq2pd;
      break;
    case Vop::CvtF32I64:
      id = SINTER_MUTANT(float_to_int_rounds) ? I::kIdVcvtps2qq : I::kIdVcvttps2qq;
      break;
    default:
      id = I::kIdVcvttpd2qq;
      break;
  }
  a_.emit(id, dst, a);
}

/// AVX2 converts 64-bit integers one at a time only; two roundings instead of one would be wrong.
void BodyEmitter::convert_by_lane(const Inst& i) {
  const int32_t from = f_.lane_buffer(), to = from + 64;
  a_.emit(I::kIdVmovups, x86::ptr(x86::rsp, from), vec_of(use(i.src[0]), i.src[0]));
  finish_sources(i);
  const x86::Vec dst = vec_of(define(i.dst), i.dst);
  const x86::Xmm x = x86::xmm(dst.id());
  for (int l = 0; l < lanes(); ++l) {
    switch (i.op) {
      case Vop::CvtI64F32:
        a_.vxorps(x, x, x);
        a_.vcvtsi2ss(x, x, x86::qword_ptr(x86::rsp, from + 8 * l));
        a_.vmovss(x86::dword_ptr(x86::rsp, to + 4 * l), x);
        break;
      case Vop::CvtI64F64:
        a_.vxorps(x, x, x);
        a_.vcvtsi2sd(x, x, x86::qword_ptr(x86::rsp, from + 8 * l));
        a_.vmovsd(x86::qword_ptr(x86::rsp, to + 8 * l), x);
        break;
      case Vop::CvtF32I64:
        a_.vcvttss2si(kTemp, x86::dword_ptr(x86::rsp, from + 4 * l));
        a_.mov(x86::qword_ptr(x86::rsp, to + 8 * l), kTemp);
        break;
      default:
        a_.vcvttsd2si(kTemp, x86::qword_ptr(x86::rsp, from + 8 * l));
        a_.mov(x86::qword_ptr(x86::rsp, to + 8 * l), kTemp);
        break;
    }
  }
  a_.emit(I::kIdVmovups, dst, x86::ptr(x86::rsp, to));
}

void BodyEmitter::call(const Inst& i) {
  const int x = use(i.src[0]), y = i.src[1] >= 0 ? use(i.src[1]) : 0;
  const int dst = define(i.dst);
  vec_of(dst, i.dst);
  const int32_t d = call_descriptor(f_, static_cast<LaneKind>(i.imm), i.fn, valid_lanes(), dst, x, y, 0, 0);
  a_.lea(kTemp, f_.pool_mem(d));
  a_.call(f_.thunk);
  f_.thunk_used = true;
  finish_sources(i);
}

/// The usual case falls through: no lane is slow. The call is out of line and preserves every register.
void BodyEmitter::slow_lanes(const Inst& i) {
  const int mask = use(i.src[0]), x = use(i.src[2]), fast = use(i.src[1]);
  int dst = fast;
  if (dies(i, 1) && i.src[1] != i.src[2]) {
    finish_sources(i);
    where_[static_cast<size_t>(i.dst)] = static_cast<int8_t>(dst);
    owner_[dst] = i.dst;
  } else {
    dst = define(i.dst);
    a_.emit(I::kIdVmovaps, vec_of(dst, i.dst), vec_of(fast, i.dst));
    finish_sources(i);
  }
  const int bytes = bytes_of(i.src[0]);
  if (!avx512()) a_.emit(I::kIdVptest, vec(mask, bytes), vec(mask, bytes));
  else if (lanes() == 16) a_.kortestw(kreg(mask), kreg(mask));
  else a_.kortestb(kreg(mask), kreg(mask));
  ColdCall cold{a_.newLabel(), a_.newLabel(), 0};
  cold.descriptor = call_descriptor(f_, LaneKind::Slow32, i.fn, valid_lanes(), dst, x, 0, mask, bytes ? 4 : 0);
  a_.jnz(cold.entry);
  a_.bind(cold.back);
  f_.cold.push_back(cold);
  f_.thunk_used = true;
}

void emit_combine(KernelFrame& f, ReduceKind kind, Elt elt, int bytes, int acc, int value, int t1, int t2, bool masked) {
  const x86::Vec a = f.vec(acc, bytes), b = f.vec(value, bytes);
  const x86::KReg tail = x86::k7;
  const bool max = kind == ReduceKind::Max, wide = elt_bytes(elt) == 8;
  if (kind == ReduceKind::Sum || elt == Elt::I64) {
    if (kind != ReduceKind::Sum && !f.avx512()) {
      max != SINTER_MUTANT(reduce_int64_swapped_avx2) ? f.a.emit(I::kIdVpcmpgtq, f.vec(t1, bytes), b, a)
                                                      : f.a.emit(I::kIdVpcmpgtq, f.vec(t1, bytes), a, b);
      f.a.emit(I::kIdVblendvpd, a, a, b, f.vec(t1, bytes));
      return;
    }
    const Vop op = kind == ReduceKind::Sum ? Vop::Add : max ? Vop::Max : Vop::Min;
    if (masked) f.a.k(tail);
    f.a.emit(binary_id(op, elt), a, a, b);
    return;
  }
  // maxps(b, a) gives a if either is NaN or both are zero; left to do: b where b is NaN and a is not.
  const InstId cmp = wide ? I::kIdVcmppd : I::kIdVcmpps;
  const InstId extreme = binary_id(max ? Vop::Max : Vop::Min, elt);
  if (f.avx512()) {
    const x86::KReg k = x86::k(static_cast<uint32_t>(t1));
    if (masked) f.a.k(tail);
    f.a.emit(cmp, k, b, b, asmjit::imm(3));
    f.a.k(k);
    f.a.emit(cmp, k, a, a, asmjit::imm(7));
    if (masked) f.a.k(tail);
    SINTER_MUTANT(reduce_extreme_swapped_avx512) ? f.a.emit(extreme, a, a, b) : f.a.emit(extreme, a, b, a);
    if (SINTER_MUTANT(reduce_loses_nan_avx512)) return;
    f.a.k(k);
    f.a.emit(wide ? I::kIdVmovapd : I::kIdVmovaps, a, b);
    return;
  }
  const x86::Vec u = f.vec(t1, bytes), o = f.vec(t2, bytes);
  f.a.emit(cmp, u, b, b, asmjit::imm(SINTER_MUTANT(reduce_loses_nan_avx2) ? 11 : 3));
  f.a.emit(cmp, o, a, a, asmjit::imm(7));
  f.a.emit(I::kIdVandps, u, u, o);
  SINTER_MUTANT(reduce_extreme_swapped_avx2) ? f.a.emit(extreme, a, a, b) : f.a.emit(extreme, a, b, a);
  f.a.emit(wide ? I::kIdVblendvpd : I::kIdVblendvps, a, a, b, u);
}

}  // namespace sinter::codegen

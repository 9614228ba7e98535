// Loads and stores of tensor elements, row buffers, stack slots; running values of reductions.
#include "../../runtime/mutants.h"
#include "body_emitter.h"

namespace sinter::codegen {

namespace I = asmjit::x86::Inst;

namespace {

/// Lanes below `valid` all ones, for AVX2's masked moves.
int32_t tail_table(ConstPool& pool, int lane, int lanes, int valid) {
  uint8_t bytes[32] = {};
  for (int i = 0; i < valid * lane; ++i) bytes[i] = 0xff;
  return pool.table(bytes, lane * lanes <= 16 ? 16 : 32);
}

}  // namespace

/// Address of this copy's first element of an operand that is contiguous or broadcast along the last dimension.
x86::Mem BodyEmitter::element_mem(int operand) {
  const LoopOperand& o = f_.spec.operands[static_cast<size_t>(operand)];
  const x86::Gp base = f_.pointer(operand);
  if (o.strides.back() == 0) return x86::ptr(base);
  const size_t size = element_size(o.dtype);
  return x86::ptr(base, kIndex, size == 1 ? 0u : size == 4 ? 2u : 3u, static_cast<int32_t>(size) * lanes() * p_.copy);
}

/// `one(lane)` for each lane that there is. The code of it must keep flags out of its business.
template <class F>
void BodyEmitter::for_valid_lanes(bool whole, F&& one) {
  const bool any = p_.tail == kAnyTail && !whole;
  const asmjit::Label done = any ? a_.newLabel() : asmjit::Label();
  for (int l = 0; l < (whole ? lanes() : valid_lanes()); ++l) {
    if (any && l > 0) {
      a_.cmp(x86::dword_ptr(x86::rsp, f_.tail_count_slot), l);
      a_.jbe(done);
    }
    one(l);
  }
  if (any) a_.bind(done);
}

x86::Vec BodyEmitter::tail_mask(int lane) {
  const int bytes = lane * lanes();
  const x86::Vec m = vec(temp_vector(), bytes);
  if (p_.tail == kAnyTail) a_.emit(I::kIdVmovups, m, x86::ptr(x86::rsp, f_.tail_slot[lane == 8]));
  else a_.emit(I::kIdVmovups, m, f_.pool_mem(tail_table(f_.pool, lane, lanes(), p_.tail)));
  return m;
}

void BodyEmitter::load(const Inst& i) {
  const LoopOperand& o = f_.spec.operands[static_cast<size_t>(i.index)];
  const int64_t stride = o.strides.back() == 0 && SINTER_MUTANT(broadcast_read_as_vector) ? 1 : o.strides.back();
  if (stride == 0 || f_.index_is_zero) return load_broadcast(i);
  if (stride == 1) {
    const x86::Mem m = element_mem(i.index);
    return o.dtype == ScalarType::Bool ? load_bool(i, m) : load_contiguous(i, m);
  }
  o.dtype == ScalarType::Bool ? load_bool_strided(i) : load_strided(i);
}

void BodyEmitter::load_broadcast(const Inst& i) {
  const int dst = define(i.dst);
  const x86::Mem m = x86::ptr(f_.pointer(i.index));
  if (i.elt != Elt::Mask) {
    a_.emit(elt_bytes(i.elt) == 8 ? I::kIdVbroadcastsd : I::kIdVbroadcastss, vec_of(dst, i.dst), m);
    return;
  }
  x86::Mem byte = m;
  byte.setSize(1);
  a_.movzx(x86::eax, byte);
  a_.neg(x86::eax);
  if (avx512()) {
    a_.kmovd(kreg(dst), x86::eax);
  } else {
    a_.vmovd(x86::xmm(static_cast<uint32_t>(dst)), x86::eax);
    a_.vpbroadcastd(x86::ymm(static_cast<uint32_t>(dst)), x86::xmm(static_cast<uint32_t>(dst)));
    f_.used_vectors |= 1u << dst;
  }
}

void BodyEmitter::load_contiguous(const Inst& i, const x86::Mem& m) {
  if (!p_.tail || (avx512() ? SINTER_MUTANT(tail_load_avx512) : SINTER_MUTANT(tail_load_avx2))) {
    a_.emit(I::kIdVmovups, vec_of(define(i.dst), i.dst), m);
  } else if (avx512()) {
    const x86::Vec dst = vec_of(define(i.dst), i.dst);
    a_.k(x86::k7).z();
    a_.emit(elt_bytes(i.elt) == 8 ? I::kIdVmovupd : I::kIdVmovups, dst, m);
  } else {
    const x86::Vec mask = tail_mask(elt_bytes(i.elt));
    a_.emit(elt_bytes(i.elt) == 8 ? I::kIdVmaskmovpd : I::kIdVmaskmovps, vec_of(define(i.dst), i.dst), mask, m);
  }
}

/// Bytes 0 and 1 at `m` (all lanes readable) to a mask.
void BodyEmitter::unpack_bool(int dst, int32_t value, const x86::Mem& m) {
  if (avx512()) {
    const x86::Xmm t = x86::xmm(static_cast<uint32_t>(temp_vector()));
    f_.used_vectors |= 1u << t.id();
    lanes() == 16 ? a_.vmovups(t, m) : a_.vmovq(t, m);
    a_.vptestmb(kreg(dst), t, t);
    return;
  }
  const x86::Vec d = vec_of(dst, value), zero = vec(temp_vector(), 32);
  a_.emit(I::kIdVxorps, zero, zero, zero);
  if (lanes() == 8) {
    a_.emit(I::kIdVpmovzxbd, d, m);
    a_.emit(I::kIdVpcmpgtd, d, d, zero);
  } else {
    a_.emit(I::kIdVpmovzxbq, d, m);
    a_.emit(I::kIdVpcmpgtq, d, d, zero);
  }
}

void BodyEmitter::load_bool(const Inst& i, const x86::Mem& m) {
  const int dst = define(i.dst);
  if (!p_.tail || (avx512() ? SINTER_MUTANT(tail_load_bool_avx512) : SINTER_MUTANT(tail_load_bool_avx2)))
    return unpack_bool(dst, i.dst, m);
  if (avx512()) {
    const x86::Xmm t = x86::xmm(static_cast<uint32_t>(temp_vector()));
    f_.used_vectors |= 1u << t.id();
    a_.k(x86::k7).z().vmovdqu8(t, m);
    a_.vptestmb(kreg(dst), t, t);
    return;
  }
  // AVX2 has no masked byte moves: through a zeroed stack buffer.
  const int32_t buffer = f_.lane_buffer();
  const x86::Gp base = x86::gpq(m.baseReg().id());
  x86::Gp from = base;
  if (base.id() == kTemp.id()) from = x86::rsi;
  if (from.id() != base.id()) a_.mov(x86::ptr(x86::rsp, buffer + 32), x86::rsi), a_.mov(x86::rsi, kTemp);
  a_.mov(x86::qword_ptr(x86::rsp, buffer), 0);
  for_valid_lanes(false, [&](int l) {
    x86::Mem byte = m;
    byte.setBase(from);
    byte.addOffset(l);
    byte.setSize(1);
    a_.movzx(x86::eax, byte);
    a_.mov(x86::byte_ptr(x86::rsp, buffer + l), x86::al);
  });
  if (from.id() != base.id()) a_.mov(x86::rsi, x86::ptr(x86::rsp, buffer + 32));
  unpack_bool(dst, i.dst, x86::ptr(x86::rsp, buffer));
}

/// rax = address of this copy's first element of an operand with any stride along the last dimension.
x86::Gp BodyEmitter::strided_base(int operand) {
  const LoopOperand& o = f_.spec.operands[static_cast<size_t>(operand)];
  const auto i = static_cast<size_t>(operand);
  const bool any = o.strides.back() == kAnyStride;
  const int64_t step = any ? 0 : o.strides.back() * static_cast<int64_t>(element_size(o.dtype));
  if (any) {
    p_.copy == 0 ? a_.mov(kTemp, kIndex) : a_.lea(kTemp, x86::ptr(kIndex, lanes() * p_.copy));
    a_.imul(kTemp, f_.byte_stride(operand, o.strides.size() - 1));
  } else if (step == static_cast<int32_t>(step)) {
    a_.imul(kTemp, kIndex, step);
  } else {
    a_.mov(kTemp, step);
    a_.imul(kTemp, kIndex);
  }
  if (f_.pointer_reg[i] >= 0) a_.add(kTemp, x86::gpq(static_cast<uint32_t>(f_.pointer_reg[i])));
  else a_.add(kTemp, x86::ptr(x86::rsp, f_.pointer_slot[i]));
  const int64_t offset = step * lanes() * p_.copy;
  if (offset != 0) a_.add(kTemp, offset);
  return kTemp;
}

void BodyEmitter::load_strided(const Inst& i) {
  const int64_t stride = f_.spec.operands[static_cast<size_t>(i.index)].strides.back();
  const bool wide = elt_bytes(i.elt) == 8, any = stride == kAnyStride;
  const int index_bytes = std::max(16, lanes() * 4);
  const x86::Vec index = vec(temp_vector(), index_bytes);
  if (any) {
    a_.emit(I::kIdVmovups, index, x86::ptr(x86::rsp, f_.index_slot[static_cast<size_t>(i.index)]));
  } else {
    int32_t offsets[16];
    for (int l = 0; l < lanes(); ++l)
      offsets[l] = static_cast<int32_t>(l < valid_lanes() || SINTER_MUTANT(tail_gather) ? l * stride : 0);
    a_.emit(I::kIdVmovups, index, f_.pool_mem(f_.pool.table(offsets, index_bytes)));
  }
  const x86::Vec dst = vec_of(define(i.dst), i.dst);
  const x86::Mem m = x86::ptr(strided_base(i.index), index, any ? 0 : wide ? 3 : 2);
  a_.emit(I::kIdVxorps, dst, dst, dst);
  if (avx512()) {
    const x86::KReg k = kreg(temp_mask());
    p_.tail && !SINTER_MUTANT(tail_gather) ? a_.kmovw(k, x86::k7) : a_.kxnorw(k, k, k);
    a_.k(k);
    a_.emit(wide ? I::kIdVgatherdpd : I::kIdVgatherdps, dst, m);
    return;
  }
  const bool all = !p_.tail || SINTER_MUTANT(tail_gather);
  const x86::Vec mask = all ? vec(temp_vector(), bytes_of(i.dst)) : tail_mask(elt_bytes(i.elt));
  if (all) a_.emit(I::kIdVpcmpeqd, mask, mask, mask);
  a_.emit(wide ? I::kIdVgatherdpd : I::kIdVgatherdps, dst, m, mask);
}

void BodyEmitter::load_bool_strided(const Inst& i) {
  const int64_t stride = f_.spec.operands[static_cast<size_t>(i.index)].strides.back();
  const int32_t buffer = f_.lane_buffer();
  const int dst = define(i.dst);
  const x86::Gp base = strided_base(i.index);
  a_.mov(x86::ptr(x86::rsp, buffer + 32), x86::rsi);
  a_.mov(x86::rsi, base);
  a_.mov(x86::qword_ptr(x86::rsp, buffer), 0);
  a_.mov(x86::qword_ptr(x86::rsp, buffer + 8), 0);
  for_valid_lanes(SINTER_MUTANT(tail_load_bool_strided), [&](int l) {
    if (stride == kAnyStride && l > 0) a_.add(x86::rsi, f_.byte_stride(i.index, f_.spec.sizes.size() - 1));
    a_.movzx(x86::eax, x86::byte_ptr(x86::rsi, stride == kAnyStride ? 0 : static_cast<int32_t>(l * stride)));
    a_.mov(x86::byte_ptr(x86::rsp, buffer + l), x86::al);
  });
  a_.mov(x86::rsi, x86::ptr(x86::rsp, buffer + 32));
  unpack_bool(dst, i.dst, x86::ptr(x86::rsp, buffer));
}

void BodyEmitter::store(const Inst& i) {
  const LoopOperand& o = f_.spec.operands[static_cast<size_t>(i.index)];
  const int64_t stride = o.strides.back();
  if (stride == 1 && !f_.index_is_zero) {
    use(i.src[0]);  // before the address: it may take rax
    const x86::Mem m = element_mem(i.index);
    o.dtype == ScalarType::Bool ? store_bool(i, m) : store_vector(i, m);
  } else {
    store_by_lane(i, f_.index_is_zero ? 0 : stride);
  }
  finish_sources(i);
}

void BodyEmitter::store_vector(const Inst& i, const x86::Mem& m) {
  const x86::Vec v = vec_of(use(i.src[0]), i.src[0]);
  const bool wide = elt_bytes(i.elt) == 8;
  if (!p_.tail || (avx512() ? SINTER_MUTANT(tail_store_avx512) : SINTER_MUTANT(tail_store_avx2))) {
    a_.emit(p_.stream ? I::kIdVmovntps : I::kIdVmovups, m, v);
  } else if (avx512()) {
    a_.k(x86::k7);
    a_.emit(wide ? I::kIdVmovupd : I::kIdVmovups, m, v);
  } else {
    const x86::Vec mask = tail_mask(elt_bytes(i.elt));
    a_.emit(wide ? I::kIdVmaskmovpd : I::kIdVmaskmovps, m, mask, v);
  }
}

/// The mask as bytes 0 and 1 in the low lanes of vector register `dst`.
void BodyEmitter::pack_bool(int dst, int mask_reg, int32_t mask_value) {
  const x86::Xmm d = x86::xmm(static_cast<uint32_t>(dst));
  f_.used_vectors |= 1u << dst;
  if (avx512()) {
    a_.vpmovm2b(d, kreg(mask_reg));
  } else {
    const x86::Xmm low = x86::xmm(static_cast<uint32_t>(mask_reg));
    const int bytes = bytes_of(mask_value);
    if (bytes == 32) {
      a_.vextracti128(d, x86::ymm(static_cast<uint32_t>(mask_reg)), 1);
      if (ir_->lane_of(mask_value) == 8) {
        a_.vshufps(d, low, d, 0x88);
        a_.vpackssdw(d, d, d);
      } else {
        a_.vpackssdw(d, low, d);
      }
    } else {
      a_.vpackssdw(d, low, low);
    }
    a_.vpacksswb(d, d, d);
  }
  a_.vpabsb(d, d);
}

void BodyEmitter::store_bool(const Inst& i, const x86::Mem& m) {
  const int t = temp_vector();
  pack_bool(t, use(i.src[0]), i.src[0]);
  const x86::Xmm x = x86::xmm(static_cast<uint32_t>(t));
  if (!p_.tail || (avx512() ? SINTER_MUTANT(tail_store_bool_avx512) : SINTER_MUTANT(tail_store_bool_avx2))) {
    if (lanes() == 16) a_.vmovups(m, x);
    else if (lanes() == 8) a_.vmovq(m, x);
    else a_.vmovd(m, x);
  } else if (avx512()) {
    a_.k(x86::k7).vmovdqu8(m, x);
  } else {
    for_valid_lanes(false, [&](int l) {
      x86::Mem byte = m;
      byte.addOffset(l);
      a_.vpextrb(byte, x, l);
    });
  }
}

/// Strided outputs, and single elements (stride 0): through a stack buffer, lane by lane.
void BodyEmitter::store_by_lane(const Inst& i, int64_t stride) {
  const int32_t buffer = f_.lane_buffer();
  const int size = static_cast<int>(element_size(f_.spec.operands[static_cast<size_t>(i.index)].dtype));
  const int value = use(i.src[0]);
  if (i.elt == Elt::Mask) {
    const int t = temp_vector();
    pack_bool(t, value, i.src[0]);
    a_.vmovups(x86::ptr(x86::rsp, buffer), x86::xmm(static_cast<uint32_t>(t)));
  } else if (stride == 0) {
    const x86::Mem m = x86::ptr(f_.pointer(i.index));
    const x86::Xmm x = x86::xmm(static_cast<uint32_t>(value));
    size == 8 ? a_.vmovsd(m, x) : a_.vmovss(m, x);
    return;
  } else {
    a_.emit(I::kIdVmovups, x86::ptr(x86::rsp, buffer), vec_of(value, i.src[0]));
  }
  const x86::Gp base = stride == 0 ? f_.pointer(i.index) : strided_base(i.index);
  a_.mov(x86::ptr(x86::rsp, buffer + 64), x86::rsi);
  if (base.id() != x86::rsi.id()) a_.mov(x86::rsi, base);
  const auto put = [&](int l) {
    const int32_t at = buffer + l * size, to = stride == kAnyStride ? 0 : static_cast<int32_t>(l * stride * size);
    const x86::Gp t = size == 8 ? x86::Gp(x86::rax) : size == 4 ? x86::Gp(x86::eax) : x86::Gp(x86::al);
    if (stride == kAnyStride && l > 0) a_.add(x86::rsi, f_.byte_stride(i.index, f_.spec.sizes.size() - 1));
    a_.mov(t, x86::ptr(x86::rsp, at));
    a_.mov(x86::ptr(x86::rsi, to), t);
  };
  if (stride == 0) put(0);
  else for_valid_lanes(SINTER_MUTANT(tail_store_strided), put);
  a_.mov(x86::rsi, x86::ptr(x86::rsp, buffer + 64));
}

void BodyEmitter::iota(const Inst& i) {
  const auto dim = static_cast<size_t>(i.index);
  const int dst = define(i.dst);
  const x86::Vec d = vec_of(dst, i.dst);
  if (f_.counter_slot[dim] >= 0) {
    a_.emit(I::kIdVpbroadcastq, d, x86::ptr(x86::rsp, f_.counter_slot[dim]));
    return;
  }
  const bool lane_dim = dim + 1 == f_.spec.sizes.size();
  const x86::Gp from = lane_dim ? kIndex : kOuter;
  a_.vmovq(x86::xmm(static_cast<uint32_t>(dst)), from);
  a_.emit(I::kIdVpbroadcastq, d, x86::xmm(static_cast<uint32_t>(dst)));
  if (!lane_dim) return;
  int64_t table[8];
  for (int l = 0; l < lanes(); ++l) table[l] = l + (SINTER_MUTANT(iota_same_in_every_copy) ? 0 : p_.copy * lanes());
  a_.emit(I::kIdVpaddq, d, d, f_.pool_mem(f_.pool.table(table, lanes() * 8)));
}

void BodyEmitter::buffer(const Inst& i) {
  const int size = elt_bytes(i.elt);
  x86::Mem m = x86::ptr(kScratch, kIndex, size == 8 ? 3 : 2, i.index + size * lanes() * p_.copy);
  if (f_.any_last()) {  // the buffer's address is in the slot i.index
    a_.mov(kTemp, x86::ptr(x86::rsp, i.index));
    m = x86::ptr(kTemp, kIndex, size == 8 ? 3 : 2, size * lanes() * p_.copy);
  }
  if (i.op == Vop::BufferLoad) {
    a_.emit(I::kIdVmovaps, vec_of(define(i.dst), i.dst), m);
  } else {
    a_.emit(I::kIdVmovaps, m, vec_of(use(i.src[0]), i.src[0]));
    finish_sources(i);
  }
}

void BodyEmitter::accumulate(const Inst& i) {
  const Accumulator& acc = f_.accumulators[static_cast<size_t>(i.index)];
  const int value = use(i.src[0]);
  const int bytes = bytes_of(i.src[0]);
  const int copy = p_.copy % acc.copies;
  const x86::Mem slot = x86::ptr(x86::rsp, acc.slot + 64 * copy);
  const int pinned = acc.reg[copy];
  const int reg = pinned >= 0 ? pinned : temp_vector();
  if (acc.single) {
    a_.emit(I::kIdVmovaps, vec(reg, bytes), vec(value, bytes));
  } else {
    if (pinned < 0) a_.emit(I::kIdVmovaps, vec(reg, bytes), slot);
    const bool needs = acc.kind != ReduceKind::Sum;
    if (avx512()) {
      emit_combine(f_, acc.kind, acc.elt, bytes, reg, value, needs ? temp_mask() : 0, 0,
                   p_.tail != 0 && !SINTER_MUTANT(tail_reduce_avx512));
    } else if (!p_.tail || SINTER_MUTANT(tail_reduce_avx2)) {
      emit_combine(f_, acc.kind, acc.elt, bytes, reg, value, needs ? temp_vector() : 0, needs ? temp_vector() : 0, false);
    } else {
      const int sum = temp_vector();
      a_.emit(I::kIdVmovaps, vec(sum, bytes), vec(reg, bytes));
      emit_combine(f_, acc.kind, acc.elt, bytes, sum, value, needs ? temp_vector() : 0, needs ? temp_vector() : 0, false);
      const x86::Vec mask = tail_mask(elt_bytes(acc.elt));
      a_.emit(elt_bytes(acc.elt) == 8 ? I::kIdVblendvpd : I::kIdVblendvps, vec(reg, bytes), vec(reg, bytes), vec(sum, bytes),
              mask);
    }
  }
  if (pinned < 0) a_.emit(I::kIdVmovaps, slot, vec(reg, bytes));
  finish_sources(i);
}

void BodyEmitter::save_slot(const Inst& i) {
  const int value = use(i.src[0]);
  const x86::Mem slot = x86::ptr(x86::rsp, i.index + 64 * p_.copy);
  if (bytes_of(i.src[0]) == 0) a_.kmovw(slot, kreg(value));
  else a_.emit(I::kIdVmovaps, slot, vec_of(value, i.src[0]));
  finish_sources(i);
}

void BodyEmitter::result(const Inst& i) {
  const int value = use(i.src[0]);
  if (value != p_.result) a_.emit(I::kIdVmovaps, vec_of(p_.result, i.src[0]), vec_of(value, i.src[0]));
  finish_sources(i);
}

}  // namespace sinter::codegen

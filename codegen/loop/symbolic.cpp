// Extents and strides that are arguments of the kernel: where they are kept, moving along dimensions by them, and what follows
// from them once for the whole kernel.
#include <algorithm>
#include <cstring>
#include "../../runtime/mutants.h"
#include "frame.h"

namespace sinter::codegen {

namespace I = asmjit::x86::Inst;

void KernelFrame::load_size_arguments() {
  const std::vector<SizeArgument> arguments = size_arguments(spec);
  if (arguments.empty()) return;
  const int32_t slots = alloc(8 * static_cast<int32_t>(arguments.size()));
  for (size_t k = 0; k < arguments.size(); ++k) {
    const SizeArgument& s = arguments[k];
    const int32_t slot = slots + 8 * static_cast<int32_t>(k);
    const auto d = static_cast<size_t>(s.dim);
    if (s.kind == SizeArgument::Extent) extent_slot[d] = slot;
    else if (s.kind == SizeArgument::Fold) fold_slot = slot;
    else stride_slot[static_cast<size_t>(s.operand) * spec.sizes.size() + d] = slot;
    a.mov(kTemp, x86::ptr(x86::rsi, 8 * static_cast<int32_t>(spec.scalars.size() + k)));
    a.mov(x86::ptr(x86::rsp, slot), kTemp);
  }
  if (any_last()) find_tail();
  find_lane_offsets();
  find_start_values();
  find_row_buffers();
}

/// The mask of the elements after the last whole vector.
void KernelFrame::find_tail() {
  a.mov(x86::rcx, extent(spec.sizes.size() - 1));
  a.and_(x86::ecx, lanes - 1);
  tail_count_slot = alloc(8);
  a.mov(x86::ptr(x86::rsp, tail_count_slot), x86::rcx);
  if (avx512()) {
    a.mov(x86::eax, 1);
    a.shl(x86::eax, x86::cl);
    a.sub(x86::eax, SINTER_MUTANT(any_tail_too_long_avx512) ? 0 : 1);
    a.kmovd(x86::k7, x86::eax);
    return;
  }
  for (const int lane : {4, 8}) {
    if (lane * lanes > 32) continue;
    // A window into lanes of ones, then zeros.
    const int bytes = lane * lanes;
    uint8_t ones[64] = {};
    std::memset(ones, 0xff, static_cast<size_t>(bytes));
    tail_slot[lane == 8] = alloc(32);
    const int32_t table = pool.table(ones, 2 * bytes);
    a.mov(x86::ecx, SINTER_MUTANT(any_tail_too_long_avx2) ? lanes - 1 : lanes);
    a.sub(x86::ecx, x86::ptr(x86::rsp, tail_count_slot));
    a.shl(x86::ecx, lane == 8 ? 3 : 2);
    a.lea(x86::rax, pool_mem(table));
    const x86::Vec mask = vec(0, bytes);
    a.emit(I::kIdVmovups, mask, x86::ptr(x86::rax, x86::rcx));
    a.emit(I::kIdVmovups, x86::ptr(x86::rsp, tail_slot[lane == 8]), mask);
  }
}

void KernelFrame::find_lane_offsets() {
  const size_t last = spec.sizes.size() - 1;
  for (size_t i = 0; i < spec.operands.size(); ++i) {
    if (spec.operands[i].strides[last] != kAnyStride) continue;
    index_slot[i] = alloc(64);
    a.xor_(x86::eax, x86::eax);
    for (int l = 0; l < lanes; ++l) {
      a.mov(x86::dword_ptr(x86::rsp, index_slot[i] + 4 * l), x86::eax);
      if (l + 1 < lanes) a.add(kTemp, byte_stride(static_cast<int>(i), last));
    }
  }
}

/// Of a reduced dimension of one element that element is the result: -0 + x is x, also where x is -0.
void KernelFrame::find_start_values() {
  if (fold_slot < 0) return;
  const size_t reduced = spec.sizes.size() - (spec.mode == LoopMode::Column ? 2 : 1);
  for (const bool wide : {false, true}) {
    const auto sums = [&](const LoopNode& n) {
      return n.kind == LoopKind::Reduce && n.reduce == ReduceKind::Sum &&
             n.dtype == (wide ? ScalarType::Double : ScalarType::Float);
    };
    if (std::none_of(spec.nodes.begin(), spec.nodes.end(), sums)) continue;
    start_slot[wide] = alloc(64);
    a.xor_(x86::eax, x86::eax);
    if (!SINTER_MUTANT(any_single_element_is_added)) {
      a.xor_(x86::ecx, x86::ecx);
      a.cmp(extent(reduced), 1);
      a.sete(x86::cl);
      a.mov(x86::rax, x86::rcx);
      a.shl(x86::rax, wide ? 63 : 31);
    }
    const int32_t at = start_slot[wide];
    for (int l = 0; l < lanes; ++l)
      wide ? a.mov(x86::qword_ptr(x86::rsp, at + 8 * l), x86::rax) : a.mov(x86::dword_ptr(x86::rsp, at + 4 * l), x86::eax);
  }
}

void KernelFrame::find_row_buffers() {
  for (const RowBuffer& b : row_buffers) {
    a.mov(kTemp, extent(spec.sizes.size() - 1));
    a.add(kTemp, 15);
    a.shr(kTemp, 4);
    a.imul(kTemp, kTemp, b.offset);
    a.add(kTemp, kScratch);
    a.mov(x86::ptr(x86::rsp, b.slot), kTemp);
  }
}

void KernelFrame::add_to_pointer(int operand, const x86::Gp& bytes, bool back) {
  const auto i = static_cast<size_t>(operand);
  if (pointer_reg[i] >= 0) {
    const x86::Gp p = x86::gpq(static_cast<uint32_t>(pointer_reg[i]));
    back ? a.sub(p, bytes) : a.add(p, bytes);
  } else {
    const x86::Mem p = x86::qword_ptr(x86::rsp, pointer_slot[i]);
    back ? a.sub(p, bytes) : a.add(p, bytes);
  }
}

void KernelFrame::step(int operand, size_t dim) {
  const LoopOperand& o = spec.operands[static_cast<size_t>(operand)];
  if (o.strides[dim] != kAnyStride) return bump(operand, o.strides[dim] * static_cast<int64_t>(element_size(o.dtype)));
  a.mov(kTemp, byte_stride(operand, dim));
  add_to_pointer(operand, kTemp, false);
}

void KernelFrame::rewind(int operand, size_t dim) {
  const LoopOperand& o = spec.operands[static_cast<size_t>(operand)];
  const int64_t bytes = o.strides[dim] == kAnyStride ? 0 : o.strides[dim] * static_cast<int64_t>(element_size(o.dtype));
  if (o.strides[dim] == 0) return;
  if (o.strides[dim] != kAnyStride && !any_size(dim)) return bump(operand, -bytes * spec.sizes[dim]);
  if (!any_size(dim)) a.mov(kTemp, spec.sizes[dim]);
  else a.mov(kTemp, extent(dim));
  if (o.strides[dim] == kAnyStride) {
    a.imul(kTemp, byte_stride(operand, dim));
  } else if (bytes == static_cast<int32_t>(bytes)) {
    a.imul(kTemp, kTemp, bytes);
  } else {
    a.mov(kTemp, bytes);
    a.imul(kTemp, extent(dim));
  }
  add_to_pointer(operand, kTemp, true);
}

}  // namespace sinter::codegen

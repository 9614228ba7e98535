#include "frame.h"
#include "plan.h"

namespace sinter::codegen {

KernelFrame::KernelFrame(x86::Assembler& assembler, const LoopSpec& spec_, Isa isa_, const Tuning& tuning_, int32_t below)
    : a(assembler),
      spec(spec_),
      isa(isa_),
      tuning(tuning_),
      lanes(LoopPlan::lanes_for(spec_, isa_, tuning_.narrow)),
      pool(isa_ == Isa::Avx2) {
  pool_label = a.newLabel();
  thunk = a.newLabel();
  counter_slot.assign(spec.sizes.size(), -1);
  extent_slot.assign(spec.sizes.size(), -1);
  stride_slot.assign(spec.operands.size() * spec.sizes.size(), -1);
  index_slot.assign(spec.operands.size(), -1);
  pointer_reg.assign(spec.operands.size(), -1);
  pointer_slot.assign(spec.operands.size(), -1);
  ranges.reserve(64);
  top_ = below;
  lane_buffer_ = alloc(128);
}

int32_t KernelFrame::alloc(int32_t bytes) {
  const int32_t at = top_;
  top_ += (bytes + 63) / 64 * 64;
  most_ = std::max(most_, top_);
  return at;
}

x86::Gp KernelFrame::pointer(int operand) {
  const auto i = static_cast<size_t>(operand);
  if (pointer_reg[i] >= 0) return x86::gpq(static_cast<uint32_t>(pointer_reg[i]));
  a.mov(kTemp, x86::ptr(x86::rsp, pointer_slot[i]));
  return kTemp;
}

void KernelFrame::add_constant(const x86::Gp& reg, int64_t value) {
  if (value == 0) return;
  if (value == static_cast<int32_t>(value)) {
    a.add(reg, value);
  } else {
    a.mov(kTemp, value);
    a.add(reg, kTemp);
  }
}

void KernelFrame::bump(int operand, int64_t bytes) {
  if (bytes == 0) return;
  const auto i = static_cast<size_t>(operand);
  if (pointer_reg[i] >= 0) return add_constant(x86::gpq(static_cast<uint32_t>(pointer_reg[i])), bytes);
  const x86::Mem slot = x86::ptr(x86::rsp, pointer_slot[i], 8);
  if (bytes == static_cast<int32_t>(bytes)) {
    a.add(slot, bytes);
  } else {
    a.mov(kTemp, bytes);
    a.add(slot, kTemp);
  }
}

void KernelFrame::load_home(int reg, int bytes, int lane, Home home, int32_t offset) {
  namespace I = asmjit::x86::Inst;
  if (bytes == 0) {
    a.kmovw(x86::k(static_cast<uint32_t>(reg)), x86::ptr(x86::rsp, offset));
    return;
  }
  const x86::Vec r = vec(reg, bytes);
  if (home == Home::Const && avx512()) {
    a.emit(lane == 8 ? I::kIdVbroadcastsd : I::kIdVbroadcastss, r, pool_mem(offset));
  } else {
    a.emit(I::kIdVmovaps, r, home == Home::Slot ? x86::ptr(x86::rsp, offset) : pool_mem(offset));
  }
}

void KernelFrame::note(int32_t node) {
  const auto at = static_cast<uint32_t>(a.offset());
  if (!ranges.empty()) {
    if (ranges.back().node == node) return;
    ranges.back().end = at;
    if (ranges.back().begin == at) ranges.pop_back();
  }
  ranges.push_back({at, at, node});
}

}  // namespace sinter::codegen

#include "ir.h"
#include <algorithm>
#include "../../runtime/mutants.h"

namespace sinter::codegen {

Elt elt_of(ScalarType t) {
  constexpr Elt map[] = {Elt::Mask, Elt::I64, Elt::F32, Elt::F64};
  return map[static_cast<int>(t)];
}

int32_t Ir::new_reg(Elt e, int lane) {
  VReg r;
  if (e == Elt::Mask) {
    r.lane = static_cast<uint8_t>(lane ? lane : (lanes_ == 4 ? 8 : 4));
    r.bytes = static_cast<uint8_t>(avx512() ? 0 : r.lane * lanes_);
  } else {
    r.lane = static_cast<uint8_t>(elt_bytes(e));
    r.bytes = static_cast<uint8_t>(r.lane * lanes_);
  }
  regs.push_back(r);
  return static_cast<int32_t>(regs.size()) - 1;
}

int32_t Ir::constant(Elt e, uint64_t bits) {
  const int size = elt_bytes(e);
  const uint64_t sign = SINTER_MUTANT(constants_without_sign) ? uint64_t{1} << (size * 8 - 1) : 0;
  for (const ConstKey& k : consts_)
    if ((k.bits | sign) == (bits | sign) && elt_bytes(k.elt) == size) return k.reg;
  const int32_t r = new_reg(e);
  regs.back().home = Home::Const;
  regs.back().offset = pool_.scalar(bits, size);
  consts_.push_back({bits, e, r});
  return r;
}

int32_t Ir::table(const void* data, int bytes, int lane) {
  VReg r;
  r.bytes = static_cast<uint8_t>(bytes);
  r.lane = static_cast<uint8_t>(lane);
  r.home = Home::Table;
  r.offset = pool_.table(data, bytes);
  regs.push_back(r);
  return static_cast<int32_t>(regs.size()) - 1;
}

int32_t Ir::slot(Elt e, int lane, int32_t frame_offset, int32_t copy_bytes) {
  const int32_t r = new_reg(e, lane);
  regs.back().home = Home::Slot;
  regs.back().offset = frame_offset;
  regs.back().copy_bytes = copy_bytes;
  return r;
}

Inst& Ir::push(Vop op, Elt elt, int32_t dst, int32_t a, int32_t b, int32_t c, int imm) {
  Inst i{op, elt};
  i.imm = static_cast<uint8_t>(imm);
  i.dst = dst;
  i.src[0] = a;
  i.src[1] = b;
  i.src[2] = c;
  i.node = current_node;
  insts.push_back(i);
  return insts.back();
}

/// Value numbering: an instruction that repeats an earlier one is dropped and its result replaced. Functions of one
/// value share much this way (sin and cos, a function and its derivative).
void Ir::share_equal() {
  size_t slots = 16;
  while (slots < insts.size() * 2) slots *= 2;
  std::vector<int32_t> seen(slots, -1), replaced(regs.size());
  for (size_t r = 0; r < regs.size(); ++r) replaced[r] = static_cast<int32_t>(r);
  const auto equal = [](const Inst& x, const Inst& y) {
    return x.op == y.op && x.elt == y.elt && (x.imm == y.imm || SINTER_MUTANT(shared_code_ignores_immediate)) && x.fn == y.fn &&
           std::equal(x.src, x.src + 3, y.src);
  };
  for (size_t i = 0; i < insts.size(); ++i) {
    Inst& inst = insts[i];
    for (int32_t& s : inst.src)
      if (s >= 0) s = replaced[static_cast<size_t>(s)];
    if (inst.dst < 0 || inst.op >= Vop::Load) continue;
    uint64_t h = static_cast<uint64_t>(inst.op) << 16 | static_cast<uint64_t>(inst.elt) << 8 |
                 (SINTER_MUTANT(shared_code_ignores_immediate) ? 0 : inst.imm);
    for (int32_t s : inst.src) h = (h ^ static_cast<uint32_t>(s)) * 0x9e3779b97f4a7c15u;
    size_t at = (h >> 32) & (slots - 1);
    while (seen[at] >= 0 && !equal(insts[static_cast<size_t>(seen[at])], inst)) at = (at + 1) & (slots - 1);
    if (seen[at] < 0) seen[at] = static_cast<int32_t>(i);
    else replaced[static_cast<size_t>(inst.dst)] = insts[static_cast<size_t>(seen[at])].dst;
  }
}

void Ir::finish() {
  share_equal();
  for (auto i = static_cast<int32_t>(insts.size()) - 1; i >= 0; --i) {
    Inst& inst = insts[static_cast<size_t>(i)];
    if (inst.dst >= 0 && regs[static_cast<size_t>(inst.dst)].first_use == kNever) {
      inst.dead = true;
      continue;
    }
    ++live_insts;
    for (int k = 0; k < 3; ++k) {
      if (inst.src[k] < 0) continue;
      inst.next[k] = regs[static_cast<size_t>(inst.src[k])].first_use;
    }
    for (int32_t s : inst.src) {
      if (s < 0) continue;
      regs[static_cast<size_t>(s)].first_use = i;
      ++regs[static_cast<size_t>(s)].uses;
    }
  }
  int live = 0;
  for (const Inst& inst : insts) {
    if (inst.dead) continue;
    for (int k = 0; k < 3; ++k) {
      if (inst.src[k] < 0 || inst.next[k] != kNever) continue;
      const bool repeated = (k > 0 && inst.src[k] == inst.src[0]) || (k > 1 && inst.src[k] == inst.src[1]);
      const VReg& r = regs[static_cast<size_t>(inst.src[k])];
      if (!repeated && r.home == Home::None && r.bytes) --live;
    }
    if (inst.dst >= 0 && regs[static_cast<size_t>(inst.dst)].bytes) ++live;
    pressure = std::max(pressure, live);
  }
}

int Ir::flops() const {
  int sum = 0;
  for (const Inst& i : insts) {
    if (i.dead || (i.elt != Elt::F32 && i.elt != Elt::F64)) continue;
    switch (i.op) {
      case Vop::Fma:
      case Vop::Fnma:
        sum += 2;
        break;
      case Vop::Add:
      case Vop::Sub:
      case Vop::Mul:
      case Vop::Div:
      case Vop::Min:
      case Vop::Max:
      case Vop::Scalef:
      case Vop::Sqrt:
      case Vop::Round:
      case Vop::Call:
      case Vop::Accumulate:
        ++sum;
        break;
      default:
        break;
    }
  }
  return sum;
}

}  // namespace sinter::codegen

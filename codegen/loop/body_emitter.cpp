#include "body_emitter.h"
#include "../../runtime/error.h"
#include "../../runtime/mutants.h"

namespace sinter::codegen {

namespace {
constexpr int32_t kFree = -1, kHeld = -2;
constexpr int kTailMask = 7;
}  // namespace

void BodyEmitter::begin(const Ir& ir) {
  ir_ = &ir;
  const size_t n = ir.regs.size();
  where_.assign(n, -1);
  spill_.assign(n, -1);
  next_.resize(n);
  pinned_.assign(n, false);
  for (int32_t& o : owner_) o = kFree;
  for (int32_t& o : mask_owner_) o = kFree;
  mask_owner_[0] = mask_owner_[kTailMask] = kHeld;
  for (int r = 1 + f_.tuning.masks; r < kTailMask; ++r) mask_owner_[r] = kHeld;
  for (int r = 0; r < 32; ++r)
    if (!((f_.all_vectors() & ~f_.reserved_vectors) >> r & 1)) owner_[r] = kHeld;
  for (size_t v = 0; v < n; ++v) {
    const VReg& r = ir.regs[v];
    next_[v] = r.first_use;
    if (r.home == Home::None) continue;
    for (const Pin& pin : f_.pins) {
      if (pin.home != r.home || pin.offset != r.offset || pin.bytes != r.bytes) continue;
      where_[v] = pin.reg;
      pinned_[v] = true;
    }
  }
}

void BodyEmitter::emit(const Ir& ir, const BodyParams& params) {
  p_ = params;
  begin(ir);
  const int32_t mark = f_.mark();
  for (size_t i = 0; i < ir.insts.size(); ++i) {
    const Inst& inst = ir.insts[i];
    if (inst.dead) continue;
    position_ = static_cast<int>(i);
    f_.note(inst.node);
    emit_inst(inst);
    end_inst();
  }
  f_.release(mark);
}

/// The register whose value is needed last; a value that has a home or is already on the stack wins ties.
int BodyEmitter::evict(const int32_t* owner, int first, int last, uint32_t locked) {
  int best = -1;
  int64_t best_key = -1;
  for (int r = first; r < last; ++r) {
    if (owner[r] < 0 || (locked >> r & 1)) continue;
    const auto v = static_cast<size_t>(owner[r]);
    const bool free_of_charge = ir_->regs[v].home != Home::None || spill_[v] >= 0;
    const int64_t key = int64_t{next_[v]} * 2 + free_of_charge;
    if (key > best_key) {
      best_key = key;
      best = r;
    }
  }
  if (best < 0) raise("emitter: no register left");
  return best;
}

int BodyEmitter::take_vector() {
  const int count = avx512() ? 32 : 16;
  for (int r = 0; r < count; ++r)
    if (owner_[r] == kFree) return r;
  const int r = evict(owner_, 0, count, locked_);
  const auto v = static_cast<size_t>(owner_[r]);
  if (ir_->regs[v].home == Home::None && spill_[v] < 0) {
    spill_[v] = f_.alloc(64);
    if (!SINTER_MUTANT(spilled_value_not_stored))
      a_.emit(x86::Inst::kIdVmovaps, x86::ptr(x86::rsp, spill_[v]), vec(r, ir_->regs[v].bytes));
  }
  where_[v] = -1;
  owner_[r] = kFree;
  return r;
}

int BodyEmitter::take_mask() {
  for (int r = 1; r < kTailMask; ++r)
    if (mask_owner_[r] == kFree) return r;
  const int r = evict(mask_owner_, 1, kTailMask, mask_locked_);
  const auto v = static_cast<size_t>(mask_owner_[r]);
  if (ir_->regs[v].home == Home::None && spill_[v] < 0) {
    spill_[v] = f_.alloc(8);
    a_.kmovw(x86::ptr(x86::rsp, spill_[v]), kreg(r));
  }
  where_[v] = -1;
  mask_owner_[r] = kFree;
  return r;
}

int BodyEmitter::temp_vector() {
  const int r = take_vector();
  owner_[r] = kHeld;
  temps_ |= 1u << r;
  return r;
}

int BodyEmitter::temp_mask() {
  const int r = take_mask();
  mask_owner_[r] = kHeld;
  mask_temps_ |= 1u << r;
  return r;
}

/// The register holding `v`, loaded from its home or stack slot when it is in none.
int BodyEmitter::use(int32_t v) {
  const auto i = static_cast<size_t>(v);
  const VReg& r = ir_->regs[i];
  const bool mask = r.bytes == 0;
  if (where_[i] < 0) {
    const int reg = mask ? take_mask() : take_vector();
    if (spill_[i] >= 0) f_.load_home(reg, r.bytes, r.lane, Home::Slot, spill_[i]);
    else f_.load_home(reg, r.bytes, r.lane, r.home, r.offset + p_.copy * r.copy_bytes);
    where_[i] = static_cast<int8_t>(reg);
    (mask ? mask_owner_ : owner_)[reg] = v;
  }
  (mask ? mask_locked_ : locked_) |= 1u << where_[i];
  return where_[i];
}

/// The register of `v`, or a memory operand when it is not in a register and need not be.
asmjit::Operand BodyEmitter::operand(int32_t v) {
  const auto i = static_cast<size_t>(v);
  const VReg& r = ir_->regs[i];
  if (where_[i] >= 0 || (spill_[i] >= 0 && next_[i] != kNever && r.home == Home::None)) return vec(use(v), r.bytes);
  if (spill_[i] >= 0) return x86::ptr(x86::rsp, spill_[i]);
  if (r.home == Home::Slot) return x86::ptr(x86::rsp, r.offset + p_.copy * r.copy_bytes);
  x86::Mem m = f_.pool_mem(r.offset);
  if (r.home == Home::Const && avx512()) {
    const int n = r.bytes / r.lane;
    m.setBroadcast(n == 16  ? x86::Mem::Broadcast::k1To16
                   : n == 8 ? x86::Mem::Broadcast::k1To8
                   : n == 4 ? x86::Mem::Broadcast::k1To4
                            : x86::Mem::Broadcast::k1To2);
  }
  return m;
}

/// A register for the instruction's result.
int BodyEmitter::define(int32_t v) {
  const auto i = static_cast<size_t>(v);
  const bool mask = ir_->regs[i].bytes == 0;
  const int reg = mask ? take_mask() : take_vector();
  where_[i] = static_cast<int8_t>(reg);
  (mask ? mask_owner_ : owner_)[reg] = v;
  (mask ? mask_locked_ : locked_) |= 1u << reg;
  return reg;
}

bool BodyEmitter::dies(const Inst& i, int k) const {
  const auto v = static_cast<size_t>(i.src[k]);
  return i.next[k] == kNever && !pinned_[v];
}

/// Frees the registers of operands used for the last time; the result may then take one of them.
void BodyEmitter::finish_sources(const Inst& i) {
  for (int k = 0; k < 3; ++k) {
    if (i.src[k] < 0) continue;
    const auto v = static_cast<size_t>(i.src[k]);
    next_[v] = i.next[k];
    if (next_[v] != kNever || where_[v] < 0 || pinned_[v]) continue;
    const bool mask = ir_->regs[v].bytes == 0;
    (mask ? mask_owner_ : owner_)[where_[v]] = kFree;
    (mask ? mask_locked_ : locked_) &= ~(1u << where_[v]);
    where_[v] = -1;
  }
}

void BodyEmitter::end_inst() {
  for (int r = 0; r < 32 && temps_; ++r)
    if (temps_ >> r & 1) owner_[r] = kFree;
  for (int r = 0; r < 8 && mask_temps_; ++r)
    if (mask_temps_ >> r & 1) mask_owner_[r] = kFree;
  temps_ = mask_temps_ = locked_ = mask_locked_ = 0;
}

void BodyEmitter::emit_inst(const Inst& i) {
  switch (i.op) {
    case Vop::Add:
    case Vop::Sub:
    case Vop::Mul:
    case Vop::Div:
    case Vop::Min:
    case Vop::Max:
    case Vop::And:
    case Vop::Or:
    case Vop::Xor:
    case Vop::AndNot:
    case Vop::MulU32:
    case Vop::Scalef:
      return binary(i);
    case Vop::Fma:
    case Vop::Fnma:
      return fused(i);
    case Vop::Sqrt:
    case Vop::Round:
    case Vop::Move:
    case Vop::Shl:
    case Vop::Shr:
    case Vop::Sar:
      return unary(i);
    case Vop::Cmp:
      return compare(i);
    case Vop::MaskAnd:
    case Vop::MaskOr:
    case Vop::MaskXor:
    case Vop::MaskNot:
    case Vop::MaskConst:
      return mask_op(i);
    case Vop::WidenMask:
    case Vop::NarrowMask:
      return mask_width(i);
    case Vop::Select:
      return select(i);
    case Vop::CvtF32I32:
    case Vop::CvtI32F32:
    case Vop::CvtF32F64:
    case Vop::CvtF64F32:
    case Vop::CvtI64F32:
    case Vop::CvtI64F64:
    case Vop::CvtF32I64:
    case Vop::CvtF64I64:
      return convert(i);
    case Vop::Call:
      return call(i);
    case Vop::SlowLanes:
      return slow_lanes(i);
    case Vop::Load:
      return load(i);
    case Vop::Store:
      return store(i);
    case Vop::BufferLoad:
    case Vop::BufferStore:
      return buffer(i);
    case Vop::Iota:
      return iota(i);
    case Vop::Accumulate:
      return accumulate(i);
    case Vop::SaveSlot:
      return save_slot(i);
    case Vop::Result:
      return result(i);
  }
}

}  // namespace sinter::codegen

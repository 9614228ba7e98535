#include "nest.h"
#include <algorithm>
#include <cstring>
#include "../../runtime/error.h"
#include "../../runtime/mutants.h"

namespace sinter::codegen {

namespace I = asmjit::x86::Inst;

namespace {
constexpr int32_t kMaxFrameBytes = 32 << 10;  // half of the smallest stack a thread is likely to have
}

int64_t stream_threshold_bytes() {
  static const int64_t bytes = std::min<int64_t>(last_level_cache_bytes(), int64_t{32} << 20);
  return bytes;
}

void NestEmitter::emit() {
  exit_ = a_.newLabel();
  f_.note(-2);
  a_.endbr64();
  if (empty()) {
    a_.ret();
  } else {
    prologue();
    choose_prefetch();
    dispatch_streaming();
    f_.note(-2);
    epilogue();
    emit_cold_code(f_);
  }
  if (f_.frame_bytes() > kMaxFrameBytes) raise("{} bytes of stack", f_.frame_bytes());
  f_.ranges.back().end = static_cast<uint32_t>(a_.offset());
  a_.align(asmjit::AlignMode::kData, 64);
  a_.bind(f_.pool_label);
  a_.embed(f_.pool.bytes().data(), f_.pool.bytes().size());
  if (patch_frame_) {
    const int32_t bytes = f_.frame_bytes();
    std::memcpy(a_.code()->textSection()->buffer().data() + patch_frame_, &bytes, 4);
  }
}

/// Nothing to write at all. An empty reduced dimension still writes start values.
bool NestEmitter::empty() const {
  const LoopSpec& s = f_.spec;
  const size_t axis = s.mode == LoopMode::Pointwise ? s.sizes.size() : s.sizes.size() - (s.mode == LoopMode::Column ? 2 : 1);
  for (size_t d = 0; d < s.sizes.size(); ++d)
    if (d != axis && s.sizes[d] == 0) return true;
  return s.stores.empty();
}

/// The same of extents that are arguments. The loop along the last dimension sees to its own.
void NestEmitter::leave_when_empty() {
  const LoopSpec& s = f_.spec;
  const size_t axis = s.sizes.size() - (s.mode == LoopMode::Column ? 2 : 1);
  for (size_t d = 0; d < s.sizes.size(); ++d) {
    if (d == axis || !f_.any_size(d)) continue;
    a_.cmp(f_.extent(d), 0);
    if (!SINTER_MUTANT(any_empty_dimension_is_run)) a_.je(exit_);
  }
}

void NestEmitter::choose_pointer_registers() {
  std::vector<x86::Gp> pool = {x86::rsi, x86::r8, x86::r9, x86::r10, x86::r11, x86::rbx, x86::r12, x86::r13, x86::r14, x86::r15};
  if (!plan_.buffers_used) pool.insert(pool.begin(), kScratch);
  pool.resize(std::min(pool.size(), static_cast<size_t>(f_.tuning.pointers)));
  size_t next = 0;
  for (size_t i = 0; i < f_.spec.operands.size(); ++i) {
    if (next == pool.size()) {
      f_.pointer_slot[i] = f_.alloc(8);
      continue;
    }
    const uint32_t id = pool[next++].id();
    f_.pointer_reg[i] = static_cast<int8_t>(id);
    if (id == x86::rbx.id() || id >= 12) saved_.push_back(id);
  }
}

void NestEmitter::prologue() {
  choose_pointer_registers();
  a_.push(x86::rbp);
  a_.mov(x86::rbp, x86::rsp);
  for (uint32_t r : saved_) a_.push(x86::gpq(r));
  a_.and_(x86::rsp, -64);
  a_.sub(x86::rsp, 0x12345678);  // patched when the frame's size is known
  patch_frame_ = a_.offset() - 4;
  load_scalars();
  f_.load_size_arguments();
  load_range();
  load_pointers();
  if (f_.spec.split >= 0 && f_.spec.split < outer_dims()) move_along_range(/*back=*/false);
  leave_when_empty();
  if (f_.any_last()) {
    if (f_.spec.mode != LoopMode::Column) a_.mov(kOuter, f_.extent(f_.spec.sizes.size() - 1));
    return;
  }
  const int64_t tail = f_.spec.sizes.back() % f_.lanes;
  if (f_.avx512() && tail) {
    a_.mov(x86::eax, (1 << (SINTER_MUTANT(tail_mask_too_short) ? tail - 1 : tail)) - 1);
    a_.kmovd(x86::k7, x86::eax);
  }
}

/// Each scalar broadcast into its stack slot. rsi points to the scalars.
void NestEmitter::load_scalars() {
  for (size_t i = 0; i < f_.spec.nodes.size(); ++i) {
    const LoopNode& n = f_.spec.nodes[i];
    if (n.kind != LoopKind::Scalar || plan_.slot[i] < 0) continue;
    const x86::Mem from = x86::ptr(x86::rsi, n.index * 8), to = x86::ptr(x86::rsp, plan_.slot[i]);
    if (n.dtype == ScalarType::Bool) {
      a_.movzx(x86::eax, x86::byte_ptr(x86::rsi, n.index * 8));
      a_.neg(x86::eax);
      if (f_.avx512()) {
        a_.mov(x86::dword_ptr(x86::rsp, plan_.slot[i]), x86::eax);
        continue;
      }
      f_.vec(0, 32);
      a_.vmovd(x86::xmm0, x86::eax);
      a_.vpbroadcastd(x86::ymm0, x86::xmm0);
      a_.vmovaps(to, x86::ymm0);
      continue;
    }
    const int size = static_cast<int>(element_size(n.dtype));
    const x86::Vec v = f_.vec(0, size * f_.lanes);
    a_.emit(size == 8 ? I::kIdVbroadcastsd : I::kIdVbroadcastss, v, from);
    a_.emit(I::kIdVmovaps, to, v);
  }
}

/// rdi points to the operands' addresses; stack slots first, because they go through rax.
void NestEmitter::load_pointers() {
  for (size_t i = 0; i < f_.spec.operands.size(); ++i) {
    const x86::Mem from = x86::ptr(x86::rdi, static_cast<int32_t>(8 * i));
    if (f_.pointer_reg[i] >= 0) {
      a_.mov(x86::gpq(static_cast<uint32_t>(f_.pointer_reg[i])), from);
    } else {
      a_.mov(kTemp, from);
      a_.mov(x86::ptr(x86::rsp, f_.pointer_slot[i]), kTemp);
    }
  }
}

void NestEmitter::epilogue() {
  a_.bind(exit_);
  if (streams() && !SINTER_MUTANT(sfence_missing)) a_.sfence();
  if (!SINTER_MUTANT(vzeroupper_missing)) a_.vzeroupper();
  a_.lea(x86::rsp, x86::ptr(x86::rbp, -8 * static_cast<int32_t>(saved_.size())));
  for (size_t i = saved_.size(); i-- > 0;)
    SINTER_MUTANT(saved_register_not_restored) ? a_.add(x86::rsp, 8) : a_.pop(x86::gpq(saved_[i]));
  a_.pop(x86::rbp);
  a_.ret();
}

/// Large contiguous outputs are written past the caches: they would only evict what is read.
bool NestEmitter::streams() const {
  if (f_.spec.mode == LoopMode::Column || is_sized_at_run_time(f_.spec)) return false;
  int64_t bytes = 0;
  for (const LoopStore& s : f_.spec.stores) {
    const LoopOperand& o = f_.spec.operands[static_cast<size_t>(s.operand)];
    if (o.strides.back() != 1 || o.dtype == ScalarType::Bool) continue;
    int64_t n = static_cast<int64_t>(element_size(o.dtype));
    for (size_t d = 0; d < f_.spec.sizes.size(); ++d) {
      if (o.strides[d] != 0) n *= f_.spec.sizes[d];
      const int64_t step = o.strides[d] * static_cast<int64_t>(element_size(o.dtype));
      if (d + 1 < f_.spec.sizes.size() && f_.spec.sizes[d] > 1 && step % 64 != 0 && !SINTER_MUTANT(streams_unaligned_rows))
        return false;
    }
    bytes += n;
  }
  return bytes >= stream_threshold_bytes();
}

/// Non-temporal stores need aligned addresses: tested once, the loops exist in both forms.
void NestEmitter::dispatch_streaming() {
  if (streams()) {
    const asmjit::Label plain = a_.newLabel();
    a_.xor_(x86::ecx, x86::ecx);
    for (const LoopStore& s : f_.spec.stores) {
      const LoopOperand& o = f_.spec.operands[static_cast<size_t>(s.operand)];
      if (o.strides.back() == 1 && o.dtype != ScalarType::Bool) a_.or_(x86::rcx, f_.pointer(s.operand));
    }
    a_.test(x86::ecx, 63);
    if (!SINTER_MUTANT(streams_to_any_address)) a_.jnz(plain);
    stream_ = true;
    outer(0);
    stream_ = false;
    a_.jmp(exit_);
    a_.bind(plain);
  }
  outer(0);
}

void NestEmitter::step_all(size_t dim) {
  for (size_t i = 0; i < f_.spec.operands.size(); ++i) f_.step(static_cast<int>(i), dim);
}

void NestEmitter::rewind_all(size_t dim) {
  for (size_t i = 0; i < f_.spec.operands.size(); ++i) f_.rewind(static_cast<int>(i), dim);
}

void NestEmitter::outer(size_t dim) {
  const LoopSpec& s = f_.spec;
  if (dim == static_cast<size_t>(outer_dims())) return s.mode == LoopMode::Column ? columns() : row();
  f_.note(-1);
  if (f_.counter_slot[dim] < 0) f_.counter_slot[dim] = f_.alloc(8);
  const x86::Mem counter = x86::qword_ptr(x86::rsp, f_.counter_slot[dim]);
  const bool range = f_.splits(dim);
  if (range) {
    a_.mov(kTemp, f_.range_begin());
    a_.mov(counter, kTemp);
  } else {
    a_.mov(counter, 0);
  }
  const asmjit::Label top = a_.newLabel();
  a_.bind(top);
  outer(dim + 1);
  f_.note(-1);
  if (s.sizes[dim] == 1) return;
  step_all(dim);
  a_.add(counter, 1);
  if (f_.any_size(dim)) {
    a_.mov(kTemp, f_.extent(dim));
    a_.cmp(counter, kTemp);
  } else if (s.sizes[dim] == static_cast<int32_t>(s.sizes[dim]) && !range) {
    a_.cmp(counter, s.sizes[dim]);
  } else {
    range ? a_.mov(kTemp, f_.range_end()) : a_.mov(kTemp, s.sizes[dim]);
    a_.cmp(counter, kTemp);
  }
  a_.jb(top);
  if (dim > 0 && !SINTER_MUTANT(outer_loop_not_rewound)) range ? move_along_range(/*back=*/true) : rewind_all(dim);
}

}  // namespace sinter::codegen

// One row (or block of columns): uniform pieces, sweeps, running values of reductions.
#include <algorithm>
#include <limits>
#include "../../runtime/kernels/reduce_order.h"
#include "../../runtime/mutants.h"
#include "nest.h"

namespace sinter::codegen {

namespace I = asmjit::x86::Inst;

namespace {

constexpr int kShortBody = 16, kMediumBody = 40;  // instructions up to which a loop is unrolled four and two times
constexpr int kLongBody = 24;  // instructions from which a pointwise body keeps the fetchers from running ahead
constexpr int64_t kFetchLine = 2048, kFetchTotal = 1 << 20, kFetchFarthest = 1 << 30, kFetchAhead = 3072, kFetchRows = 8;
constexpr int kFreeRegisters = 9;  // what ends of rows, maxima and minima need beside pinned ones
constexpr int kFreeForSums = 6;    // columns of sums only

uint64_t start_bits(ReduceKind kind, Elt e) {
  const bool max = kind == ReduceKind::Max;
  if (kind == ReduceKind::Sum || SINTER_MUTANT(extremes_start_at_zero)) return 0;
  if (e == Elt::F32) return max ? 0xff800000u : 0x7f800000u;
  if (e == Elt::F64) return max ? 0xfff0000000000000u : 0x7ff0000000000000u;
  return static_cast<uint64_t>(max ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max());
}

}  // namespace

int NestEmitter::unroll_of(const Ir& ir) const {
  if (f_.tuning.unroll > 0) return f_.tuning.unroll;
  return ir.live_insts <= kShortBody ? 4 : ir.live_insts <= kMediumBody ? 2 : 1;
}

void NestEmitter::compare_index(const x86::Gp& reg, int64_t bound) {
  if (bound == static_cast<int32_t>(bound)) {
    a_.cmp(reg, bound);
  } else {
    a_.mov(kTemp, bound);
    a_.cmp(reg, kTemp);
  }
}

int NestEmitter::free_vector(int nth) const {
  for (int r = 0; r < 32; ++r)
    if ((f_.all_vectors() & ~f_.reserved_vectors) >> r & 1)
      if (nth-- == 0) return r;
  return 0;
}

/// Gives registers to running values, then to the values with a home that the sweep uses most.
void NestEmitter::pin(int k, int acc_copies, int64_t visits) {
  const Ir& ir = plan_.sweeps[static_cast<size_t>(k)];
  int next = f_.tuning.vectors - 1;
  bool sums = f_.spec.mode == LoopMode::Column;
  for (int32_t n : plan_.reduces[static_cast<size_t>(k)])
    sums = sums && f_.accumulators[static_cast<size_t>(n)].kind == ReduceKind::Sum;
  const int free = sums ? kFreeForSums : kFreeRegisters;
  int budget = next + 1 - std::max(ir.pressure + 4, free);
  for (int32_t n : plan_.reduces[static_cast<size_t>(k)]) {
    Accumulator& acc = f_.accumulators[static_cast<size_t>(n)];
    for (int c = 0; c < acc_copies && budget > 0; ++c, --budget) {
      acc.reg[c] = static_cast<int8_t>(next);
      f_.vec(next, 16);
      f_.reserved_vectors |= 1u << next--;
    }
  }
  if (visits < 3) return;
  std::vector<const VReg*> wanted;
  for (const VReg& r : ir.regs)
    if ((r.home == Home::Const || r.home == Home::Slot) && r.uses && r.bytes && r.copy_bytes == 0) wanted.push_back(&r);
  std::stable_sort(wanted.begin(), wanted.end(), [](const VReg* x, const VReg* y) { return x->uses > y->uses; });
  for (const VReg* r : wanted) {
    if (budget-- <= 0) break;
    f_.load_home(next, r->bytes, r->lane, r->home, r->offset);
    f_.pins.push_back({r->home, r->offset, r->bytes, r->lane, static_cast<int8_t>(next)});
    f_.reserved_vectors |= 1u << next--;
  }
}

void NestEmitter::unpin() {
  f_.pins.clear();
  f_.reserved_vectors = 0;
  for (Accumulator& acc : f_.accumulators) std::fill(std::begin(acc.reg), std::end(acc.reg), int8_t{-1});
}

void NestEmitter::uniform(int k, const BodyParams& p, bool along_lanes) {
  const Ir& ir = plan_.uniforms[static_cast<size_t>(k)];
  if (ir.live_insts == 0) return;
  f_.index_is_zero = !along_lanes;
  body_.emit(ir, p);
  f_.index_is_zero = false;
  f_.note(-1);
}

/// What the hardware does not fetch early enough by itself: the next row (the first sweep reads it at memory's pace while
/// the later ones compute from the caches), the rows further down a block of columns, and the inputs of long bodies.
void NestEmitter::choose_prefetch() {
  const LoopSpec& s = f_.spec;
  const size_t rank = s.sizes.size();
  int longest = s.mode == LoopMode::Pointwise ? kLongBody - 1 : 0;
  for (int k = s.mode == LoopMode::Row ? 1 : 0; k < plan_.sweep_count(); ++k) {
    const int n = plan_.sweeps[static_cast<size_t>(k)].live_insts;
    if (n >= std::max(longest, 1)) longest = n, prefetch_sweep_ = k;
  }
  // Fetches that come too fast wait for each other: a second sweep of some length takes half of them.
  for (int k = 1; s.mode == LoopMode::Row && k < plan_.sweep_count(); ++k)
    if (k != prefetch_sweep_ && 2 * plan_.sweeps[static_cast<size_t>(k)].live_insts >= longest) second_prefetch_sweep_ = k;
  if (prefetch_sweep_ < 0 || (s.mode == LoopMode::Row && rank < 2)) return;
  for (size_t i = 0; i < s.operands.size(); ++i) {
    const LoopOperand& o = s.operands[i];
    if (o.output || o.strides.back() != 1 || o.dtype == ScalarType::Bool) continue;
    const bool any_rows = rank > 1 && (f_.any_size(rank - 2) || o.strides[rank - 2] == kAnyStride);
    if (f_.any_last() || (any_rows && o.strides[rank - 2] == kAnyStride)) {
      if (s.mode == LoopMode::Pointwise) prefetched_.push_back({static_cast<int>(i), kFetchAhead});
      continue;
    }
    const auto size = static_cast<int64_t>(element_size(o.dtype));
    const int64_t line = s.sizes.back() * size, step = rank < 2 ? 0 : o.strides[rank - 2] * size;
    int64_t ahead = kFetchAhead, total = line;
    if (s.mode == LoopMode::Row) ahead = step;
    if (s.mode == LoopMode::Column) ahead = kFetchRows * step;
    if (rank > 1 && step != 0) total *= any_rows ? kFetchTotal : s.sizes[rank - 2];
    if (line >= kFetchLine && total >= kFetchTotal && ahead > 0 && ahead < kFetchFarthest)
      prefetched_.push_back({static_cast<int>(i), static_cast<int32_t>(ahead)});
  }
}

/// Whether a sweep fetches this cache line of those that a round of its loop covers.
bool NestEmitter::fetches(int sweep, int line) const {
  if (second_prefetch_sweep_ < 0) return sweep == prefetch_sweep_;
  return sweep == (line % 2 == 0 ? prefetch_sweep_ : second_prefetch_sweep_);
}

/// One copy of a sweep's code, with its fetches: one for each cache line it covers.
void NestEmitter::copy_of(const Ir& ir, const BodyParams& p, int sweep) {
  for (const Prefetch& fetch : prefetched_) {
    const auto size = static_cast<int>(element_size(f_.spec.operands[static_cast<size_t>(fetch.operand)].dtype));
    const int at = p.copy * size * f_.lanes;
    if (at % 64 != 0 || !fetches(sweep, at / 64)) continue;
    const x86::Mem m = x86::ptr(f_.pointer(fetch.operand), kIndex, size == 8 ? 3 : 2, fetch.ahead + at);
    f_.spec.mode == LoopMode::Row ? a_.prefetcht1(m) : a_.prefetcht0(m);
  }
  body_.emit(ir, p);
}

void NestEmitter::row() {
  for (int k = 0; k < plan_.sweep_count(); ++k) {
    uniform(k, {}, false);
    const auto i = static_cast<size_t>(k);
    if (!plan_.reduces[i].empty()) reduce_sweep(k);
    else if (plan_.sweeps[i].live_insts) pointwise_sweep(k);
  }
}

/// The index goes from 0 in `rounds` rounds of `step` elements, or over those of the range; `more` follows them.
template <class Body>
void NestEmitter::rounds_of_row(int64_t step, int64_t rounds, bool more, bool align, Body&& body) {
  const bool range = f_.splits(f_.spec.sizes.size() - 1);
  const asmjit::Label top = a_.newLabel(), after = a_.newLabel();
  if (range) start_rounds(step, rounds, top, after);
  else a_.xor_(x86::ecx, x86::ecx);
  if (align && (rounds > 1 || range)) a_.align(asmjit::AlignMode::kCode, 32);
  a_.bind(top);
  if (rounds > 0) {
    body();
    f_.note(-1);
    if (rounds > 1 || more || range) a_.add(kIndex, step);
    if (range) {
      next_round(top);
    } else if (rounds > 1) {
      compare_index(kIndex, rounds * step);
      a_.jb(top);
    }
  }
  a_.bind(after);
}

void NestEmitter::pointwise_sweep(int k) {
  if (f_.any_last()) return any_size_sweep(k);
  const Ir& ir = plan_.sweeps[static_cast<size_t>(k)];
  const int64_t n = f_.spec.sizes.back(), w = f_.lanes;
  const int64_t u = std::max<int64_t>(1, std::min<int64_t>(unroll_of(ir), n / w));
  const int64_t rounds = n / (u * w), rest = n % (u * w) / w, tail = n % w;
  f_.note(-1);
  pin(k, 0, n / w);
  rounds_of_row(u * w, rounds, rest || tail, /*align=*/true, [&] {
    for (int c = 0; c < u; ++c) copy_of(ir, {c, 0, stream_}, k);
  });
  const asmjit::Label end = a_.newLabel();
  if (f_.splits(f_.spec.sizes.size() - 1) && (rest || tail)) skip_rest_inside(n, end);
  for (int c = 0; c < rest; ++c) copy_of(ir, {c, 0, stream_}, k);
  if (tail) body_.emit(ir, {static_cast<int>(rest), static_cast<int>(tail), false});
  a_.bind(end);
  f_.note(-1);
  unpin();
}

void NestEmitter::start_accumulators(int k, int copies) {
  for (int32_t n : plan_.reduces[static_cast<size_t>(k)]) {
    const Accumulator& acc = f_.accumulators[static_cast<size_t>(n)];
    const int bytes = elt_bytes(acc.elt) * f_.lanes, lane = elt_bytes(acc.elt);
    const uint64_t bits = start_bits(acc.kind, acc.elt);
    for (int c = 0; c < copies; ++c) {
      const int r = acc.reg[c] >= 0 ? acc.reg[c] : free_vector(0);
      const x86::Vec v = f_.vec(r, bytes);
      const bool any_start = acc.kind == ReduceKind::Sum && acc.elt != Elt::I64 && f_.fold_slot >= 0;
      if (any_start) a_.emit(I::kIdVmovaps, v, x86::ptr(x86::rsp, f_.start_slot[lane == 8]));
      else if (bits == 0) a_.emit(I::kIdVxorps, v, v, v);
      else f_.load_home(r, bytes, lane, Home::Const, f_.pool.scalar(bits, lane));
      if (acc.reg[c] < 0) a_.emit(I::kIdVmovaps, x86::ptr(x86::rsp, acc.slot + 64 * c), v);
      if (acc.total < 0) continue;
      if (any_start) {
        a_.emit(I::kIdVmovaps, x86::ptr(x86::rsp, acc.total + 64 * c), v);
        continue;
      }
      const x86::Vec zero = f_.vec(free_vector(1), bytes);
      a_.emit(I::kIdVxorps, zero, zero, zero);
      a_.emit(I::kIdVmovaps, x86::ptr(x86::rsp, acc.total + 64 * c), zero);
    }
  }
}

/// acc1 += acc0, acc0 = 0 for every sum of the sweep.
void NestEmitter::fold(int k, int copies) {
  for (int32_t n : plan_.reduces[static_cast<size_t>(k)]) {
    const Accumulator& acc = f_.accumulators[static_cast<size_t>(n)];
    if (acc.kind != ReduceKind::Sum || SINTER_MUTANT(sums_not_folded)) continue;
    const int bytes = elt_bytes(acc.elt) * f_.lanes, t = free_vector(0);
    for (int c = 0; c < copies; ++c) {
      const x86::Mem total = x86::ptr(x86::rsp, acc.total + 64 * c), slot = x86::ptr(x86::rsp, acc.slot + 64 * c);
      const int r = acc.reg[c] >= 0 ? acc.reg[c] : free_vector(1);
      const x86::Vec v = f_.vec(r, bytes);
      if (acc.reg[c] < 0) a_.emit(I::kIdVmovaps, v, slot);
      a_.emit(I::kIdVmovaps, f_.vec(t, bytes), total);
      emit_combine(f_, acc.kind, acc.elt, bytes, t, r, 0, 0, false);
      a_.emit(I::kIdVmovaps, total, f_.vec(t, bytes));
      a_.emit(I::kIdVxorps, v, v, v);
      if (acc.reg[c] < 0) a_.emit(I::kIdVmovaps, slot, v);
    }
  }
}

/// The sweep in groups of 16 elements, in the order of reduce_order.h.
void NestEmitter::reduce_sweep(int k) {
  if (f_.any_last()) return any_size_reduce_sweep(k);
  const Ir& ir = plan_.sweeps[static_cast<size_t>(k)];
  const int w = f_.lanes, copies = 16 / w;
  const int64_t n = f_.spec.sizes.back(), groups = n / 16, visits = (n + 15) / 16,
                block = reduce_block_steps_of(visits) * (SINTER_MUTANT(row_sums_folded_later) ? 2 : 1);
  const bool two_levels = visits > block;
  const int64_t u = std::max<int64_t>(1, std::min<int64_t>(unroll_of(ir) / copies, groups));
  const int64_t rounds = groups / u, rest = groups % u * copies, step = u * 16;
  f_.note(-1);
  pin(k, copies, n / w);
  start_accumulators(k, copies);
  a_.xor_(x86::ecx, x86::ecx);
  const asmjit::Label top = a_.newLabel(), no_fold = a_.newLabel();
  if (rounds > 1) a_.align(asmjit::AlignMode::kCode, 32);
  a_.bind(top);
  if (rounds > 0) {
    for (int c = 0; c < u * copies; ++c) copy_of(ir, {c, 0, stream_}, k);
    f_.note(-1);
    a_.add(kIndex, step);
    if (two_levels) {
      a_.test(x86::ecx, static_cast<int32_t>(block * 16 - 1));
      a_.jnz(no_fold);
      fold(k, copies);
      a_.bind(no_fold);
    }
    if (rounds > 1) {
      compare_index(kIndex, rounds * step);
      a_.jb(top);
    }
  }
  const int64_t left = n % 16;
  int c = 0;
  for (; c < rest; ++c) copy_of(ir, {c, 0, stream_}, k);
  for (int64_t done = 0; done < left; done += w, ++c)
    body_.emit(ir, {c, left - done >= w ? 0 : static_cast<int>(left - done), left - done >= w && stream_});
  f_.note(-1);
  finish_row(k, two_levels);
  unpin();
}

/// Second level, tree over the 16 lanes, result broadcast to its slot.
void NestEmitter::finish_row(int k, bool two_levels) {
  const int copies = 16 / f_.lanes;
  if (two_levels) fold(k, copies);
  for (int32_t n : plan_.reduces[static_cast<size_t>(k)]) {
    const Accumulator& acc = f_.accumulators[static_cast<size_t>(n)];
    const int lane = elt_bytes(acc.elt), full = lane * f_.lanes;
    int r[4];
    for (int c = 0; c < copies; ++c) {
      r[c] = free_vector(c);
      const x86::Vec v = f_.vec(r[c], full);
      if (two_levels && acc.total >= 0) a_.emit(I::kIdVmovaps, v, x86::ptr(x86::rsp, acc.total + 64 * c));
      else if (acc.reg[c] >= 0) a_.emit(I::kIdVmovaps, v, f_.vec(acc.reg[c], full));
      else a_.emit(I::kIdVmovaps, v, x86::ptr(x86::rsp, acc.slot + 64 * c));
    }
    const int t = free_vector(4), t1 = f_.avx512() ? 1 : free_vector(5), t2 = free_vector(6);
    const auto combine = [&](int a, int b, int bytes) { emit_combine(f_, acc.kind, acc.elt, bytes, a, b, t1, t2, false); };
    if (!acc.single) {
      for (int half = copies / 2; half >= 1; half /= 2)
        for (int c = 0; c < half; ++c) combine(r[c], r[c + half], full);
      if (full == 64) {
        a_.emit(I::kIdVextractf64x4, f_.vec(t, 32), f_.vec(r[0], 64), asmjit::imm(1));
        combine(r[0], t, 32);
      }
      if (full >= 32) {
        a_.emit(I::kIdVextractf128, f_.vec(t, 16), f_.vec(r[0], 32), asmjit::imm(1));
        combine(r[0], t, 16);
      }
      const x86::Vec x = f_.vec(r[0], 16);
      a_.emit(I::kIdVunpckhpd, f_.vec(t, 16), x, x);
      combine(r[0], t, 16);
      if (lane == 4) {
        a_.emit(I::kIdVmovshdup, f_.vec(t, 16), x);
        combine(r[0], t, 16);
      }
    }
    const x86::Vec v = f_.vec(r[0], full);
    a_.emit(lane == 8 ? I::kIdVbroadcastsd : I::kIdVbroadcastss, v, f_.vec(r[0], 16));
    a_.emit(I::kIdVmovaps, x86::ptr(x86::rsp, acc.value), v);
  }
}

void NestEmitter::columns() {
  if (f_.any_last()) return any_size_columns();
  const int64_t n = f_.spec.sizes.back(), w = f_.lanes;
  int64_t longest = 1;
  for (const Ir& ir : plan_.sweeps) longest = std::max<int64_t>(longest, ir.live_insts);
  const int64_t wanted = f_.tuning.unroll > 0 ? f_.tuning.unroll : std::max<int64_t>(1, 64 / longest);
  const int64_t u = std::max<int64_t>(1, std::min<int64_t>({kMaxColumnCopies, wanted, n / w}));
  const int64_t rounds = n / (u * w), rest = n % (u * w) / w, tail = n % w;
  f_.note(-1);
  rounds_of_row(u * w, rounds, /*more=*/true, /*align=*/false, [&] {
    std::vector<BodyParams> copies;
    for (int c = 0; c < u; ++c) copies.push_back({c, 0, false});
    column_block(copies);
  });
  const asmjit::Label end = a_.newLabel();
  if (f_.splits(f_.spec.sizes.size() - 1) && (rest || tail)) skip_rest_inside(n, end);
  std::vector<BodyParams> copies;
  for (int c = 0; c < rest; ++c) copies.push_back({c, 0, false});
  if (tail) copies.push_back({static_cast<int>(rest), static_cast<int>(tail), false});
  if (!copies.empty()) column_block(copies);
  a_.bind(end);
}

void NestEmitter::column_block(const std::vector<BodyParams>& copies) {
  for (int k = 0; k < plan_.sweep_count(); ++k) {
    for (const BodyParams& p : copies) uniform(k, p, true);
    if (plan_.sweeps[static_cast<size_t>(k)].live_insts) column_sweep(k, copies);
  }
}

void NestEmitter::column_sweep(int k, const std::vector<BodyParams>& copies) {
  const Ir& ir = plan_.sweeps[static_cast<size_t>(k)];
  const size_t dim = f_.spec.sizes.size() - 2;
  if (f_.any_size(dim)) return any_size_column_rows(k, copies);
  const int64_t rows = f_.spec.sizes[dim],
                block = reduce_block_steps_of(rows) * (SINTER_MUTANT(column_sums_folded_later) ? 2 : 1);
  const int n_copies = static_cast<int>(copies.size());
  const bool two_levels = rows > block;
  f_.note(-1);
  pin(k, n_copies, rows);
  start_accumulators(k, n_copies);
  if (rows > 0) {
    a_.xor_(x86::edi, x86::edi);
    const asmjit::Label top = a_.newLabel(), no_fold = a_.newLabel();
    a_.bind(top);
    for (const BodyParams& p : copies) copy_of(ir, p, k);
    f_.note(-1);
    step_all(dim);
    a_.inc(kOuter);
    if (two_levels) {
      a_.test(x86::edi, static_cast<int32_t>(block - 1));
      a_.jnz(no_fold);
      fold(k, n_copies);
      a_.bind(no_fold);
    }
    if (rows > 1) {
      compare_index(kOuter, rows);
      a_.jb(top);
    }
    rewind_all(dim);
  }
  finish_column(k, n_copies, two_levels);
  unpin();
}

void NestEmitter::finish_column(int k, int copies, bool two_levels) {
  if (two_levels) fold(k, copies);
  for (int32_t n : plan_.reduces[static_cast<size_t>(k)]) {
    const Accumulator& acc = f_.accumulators[static_cast<size_t>(n)];
    const int full = elt_bytes(acc.elt) * f_.lanes;
    for (int c = 0; c < copies; ++c) {
      const bool total = two_levels && acc.total >= 0;
      const int r = acc.reg[c] >= 0 && !total ? acc.reg[c] : free_vector(0);
      const x86::Vec v = f_.vec(r, full);
      if (total) a_.emit(I::kIdVmovaps, v, x86::ptr(x86::rsp, acc.total + 64 * c));
      else if (acc.reg[c] < 0) a_.emit(I::kIdVmovaps, v, x86::ptr(x86::rsp, acc.slot + 64 * c));
      a_.emit(I::kIdVmovaps, x86::ptr(x86::rsp, acc.value + 64 * c), v);
    }
  }
}

}  // namespace sinter::codegen

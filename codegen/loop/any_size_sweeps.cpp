// The loops of sweeps.cpp where an extent is an argument: the same visits in the same order, so the same bits.
#include "nest.h"

namespace sinter::codegen {

namespace {
constexpr int64_t kManyVisits = 64;  // what is assumed of a loop whose length is not known
constexpr auto nothing = [] {};
}  // namespace

/// `body` for so many elements, then `after` with the index moved on, while so many are left.
template <class Body, class After>
void NestEmitter::rounds_of(int64_t elements, const asmjit::Operand& extent, bool align, Body&& body, After&& after) {
  const asmjit::Label top = a_.newLabel(), end = a_.newLabel();
  const auto next = [&] {
    a_.lea(kTemp, x86::ptr(kIndex, static_cast<int32_t>(elements)));
    a_.emit(x86::Inst::kIdCmp, kTemp, extent);
  };
  next();
  a_.jg(end);
  if (align) a_.align(asmjit::AlignMode::kCode, 32);
  a_.bind(top);
  body();
  f_.note(-1);
  a_.add(kIndex, elements);
  after();
  next();
  a_.jle(top);
  a_.bind(end);
}

/// rdi: the number of elements. Rounds of u vectors, single vectors, what is left.
void NestEmitter::any_size_sweep(int k) {
  const Ir& ir = plan_.sweeps[static_cast<size_t>(k)];
  const int w = f_.lanes, u = unroll_of(ir);
  const asmjit::Label done = a_.newLabel();
  f_.note(-1);
  pin(k, 0, kManyVisits);
  a_.xor_(x86::ecx, x86::ecx);
  if (u > 1)
    rounds_of(
        u * w, kOuter, true,
        [&] {
          for (int c = 0; c < u; ++c) copy_of(ir, {c, 0, false}, k);
        },
        nothing);
  rounds_of(
      w, kOuter, false,
      [&] {
        body_.emit(ir, {0, 0, false});
      },
      nothing);
  a_.cmp(kIndex, kOuter);
  a_.jae(done);
  body_.emit(ir, {0, kAnyTail, false});
  f_.note(-1);
  a_.bind(done);
  unpin();
}

/// rdi: the length of the row. Rounds of groups of 16 elements, single groups, the vectors of the last group.
void NestEmitter::any_size_reduce_sweep(int k) {
  const Ir& ir = plan_.sweeps[static_cast<size_t>(k)];
  const int w = f_.lanes, copies = 16 / w, u = copies == 1 ? unroll_of(ir) : 1;
  f_.note(-1);
  pin(k, copies, kManyVisits);
  start_accumulators(k, copies);
  a_.xor_(x86::ecx, x86::ecx);
  // Blocks are multiples of a round.
  const auto fold_when_due = [&] {
    const asmjit::Label no_fold = a_.newLabel();
    a_.test(x86::ptr(x86::rsp, f_.fold_slot, 8), kIndex);
    a_.jnz(no_fold);
    fold(k, copies);
    a_.bind(no_fold);
  };
  const auto groups_of = [&](int n) {
    for (int c = 0; c < n * copies; ++c) copy_of(ir, {c, 0, false}, k);
  };
  rounds_of(
      u * 16, kOuter, true, [&] { groups_of(u); }, fold_when_due);
  if (u > 1)
    rounds_of(
        16, kOuter, false, [&] { groups_of(1); }, nothing);
  const asmjit::Label end = a_.newLabel();
  for (int c = 0; c < copies; ++c) {
    const asmjit::Label part = a_.newLabel(), next = a_.newLabel();
    a_.lea(kTemp, x86::ptr(kIndex, (c + 1) * w));
    a_.cmp(kTemp, kOuter);
    a_.jg(part);
    body_.emit(ir, {c, 0, false});
    f_.note(-1);
    a_.jmp(next);
    a_.bind(part);
    a_.sub(kTemp, w);
    a_.cmp(kTemp, kOuter);
    a_.jge(end);
    body_.emit(ir, {c, kAnyTail, false});
    f_.note(-1);
    a_.jmp(end);
    a_.bind(next);
  }
  a_.bind(end);
  finish_row(k, true);
  unpin();
}

void NestEmitter::any_size_columns() {
  const int64_t w = f_.lanes;
  int64_t longest = 1;
  for (const Ir& ir : plan_.sweeps) longest = std::max<int64_t>(longest, ir.live_insts);
  const int64_t wanted = f_.tuning.unroll > 0 ? f_.tuning.unroll : std::max<int64_t>(1, 64 / longest);
  const int64_t u = std::min<int64_t>(kMaxColumnCopies, wanted);
  const x86::Mem extent = f_.extent(f_.spec.sizes.size() - 1);
  const auto block_of = [&](int64_t n) {
    std::vector<BodyParams> copies;
    for (int c = 0; c < n; ++c) copies.push_back({c, 0, false});
    column_block(copies);
  };
  f_.note(-1);
  a_.xor_(x86::ecx, x86::ecx);
  if (u > 1)
    rounds_of(
        u * w, extent, false, [&] { block_of(u); }, nothing);
  rounds_of(
      w, extent, false, [&] { block_of(1); }, nothing);
  const asmjit::Label done = a_.newLabel();
  a_.cmp(kIndex, extent);
  a_.jge(done);
  column_block({{0, kAnyTail, false}});
  a_.bind(done);
}

/// A block of columns over rows whose number is an argument.
void NestEmitter::any_size_column_rows(int k, const std::vector<BodyParams>& copies) {
  const Ir& ir = plan_.sweeps[static_cast<size_t>(k)];
  const size_t dim = f_.spec.sizes.size() - 2;
  const int n_copies = static_cast<int>(copies.size());
  const asmjit::Label top = a_.newLabel(), no_fold = a_.newLabel(), end = a_.newLabel();
  f_.note(-1);
  pin(k, n_copies, kManyVisits);
  start_accumulators(k, n_copies);
  a_.xor_(x86::edi, x86::edi);
  a_.cmp(f_.extent(dim), 0);
  a_.je(end);
  a_.bind(top);
  for (const BodyParams& p : copies) copy_of(ir, p, k);
  f_.note(-1);
  step_all(dim);
  a_.inc(kOuter);
  a_.test(x86::ptr(x86::rsp, f_.fold_slot, 8), kOuter);
  a_.jnz(no_fold);
  fold(k, n_copies);
  a_.bind(no_fold);
  a_.cmp(kOuter, f_.extent(dim));
  a_.jb(top);
  rewind_all(dim);
  a_.bind(end);
  finish_column(k, n_copies, true);
  unpin();
}

}  // namespace sinter::codegen

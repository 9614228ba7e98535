// Problems for tests of attention, and a run of one between pages that fault.
#pragma once
#include "guarded_operands.h"
#include "kernel_buffers.h"
#include "runtime/kernels/kernel.h"
#include "runtime/ops/attention.h"

namespace sinter::test {

struct Problem {
  int64_t heads, queries, keys, depth, width;
};

inline const Problem kProblems[] = {{1, 1, 1, 1, 1},     {2, 1, 5, 3, 2},    {3, 4, 7, 8, 16},   {2, 16, 16, 64, 64},
                                    {1, 33, 40, 17, 31}, {1, 70, 130, 5, 9}, {2, 9, 100, 64, 1}, {1, 40, 1, 4, 33},
                                    {1, 3, 1100, 2, 5},  {1, 2, 3, 1030, 4}};

enum class Mask { None, Added, Kept, Filled };

/// Elements of one call; index [head][row][column] however they lie.
struct Operands {
  Buffer q, k, v, mask;
  Operands(std::mt19937& rng, ScalarType t, const Problem& p, Layout layout, Mask kind)
      : q(random_buffer(rng, t, {p.heads, p.queries, p.depth}, layout)),
        k(random_buffer(rng, t, {p.heads, p.keys, p.depth}, layout)),
        v(random_buffer(rng, t, {p.heads, p.keys, p.width}, layout)),
        mask(random_buffer(rng, kind == Mask::Added ? t : ScalarType::Bool, {p.heads, p.queries, p.keys}, layout)) {}
};

inline Call call_of(const Operands& in, Mask kind, uint64_t attr, double scale) {
  Call c{Op::scaled_dot_product_attention, {in.q.view(), in.k.view(), in.v.view()}, attr, {}, {Scalar(scale)}};
  if (kind != Mask::None) c.in.push_back(in.mask.view());
  if (kind == Mask::Filled) c.attr |= kAttentionFills, c.scalars.push_back(Scalar(-3.5));
  if (attr & kAttentionDropout) {
    c.scalars.push_back(Scalar(0.3));
    c.scalars.push_back(Scalar(int64_t{77}));
    c.scalars.push_back(Scalar(int64_t{5}));
  }
  return c;
}

/// Runs the call with every operand flush with a page that faults. What is wrong, or nothing: bytes beside the result written, or
/// other bits than `expected`.
template <class Run>
std::string run_guarded(Call call, const Buffer& expected, Run run) {
  using codegen::reference::GuardedMemory;
  using codegen::reference::Placement;
  const std::vector<TensorView> operands = call.in;
  const size_t size = element_size(expected.dtype), n = static_cast<size_t>(expected.numel()) * size;
  for (const Placement& place : {Placement{Placement::End}, Placement{Placement::Start}, Placement{Placement::Odd}}) {
    for (size_t i = 0; i < operands.size(); ++i) {
      const size_t element = element_size(operands[i].dtype), bytes = static_cast<size_t>(operands[i].numel()) * element;
      const auto* from = static_cast<const uint8_t*>(operands[i].data);
      call.in[i].data = GuardedMemory::of(i, bytes).place({from, from + bytes}, place, element, i);
    }
    GuardedMemory& result = GuardedMemory::of(9, n);
    TensorView out = expected.view();
    out.data = result.place(std::vector<uint8_t>(n, 0xee), place, size, 9);
    run(call.args(out));
    if (!result.canaries_intact()) return "wrote beside its result";
    if (std::memcmp(result.data(), expected.bytes.data(), n) != 0) return "other bits";
  }
  return "";
}

}  // namespace sinter::test

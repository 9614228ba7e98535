#include "split.h"
#include <algorithm>
#include "../../runtime/threads.h"

namespace sinter {

namespace {

using codegen::LoopKind;
using codegen::LoopMode;

constexpr int64_t kManyParts = 64;                   // an outer dimension of this size is divided without looking further
constexpr int64_t kLastPart = 1024, kColumns = 128;  // elements of a part of the last dimension, at least

/// Operations of one lane of a vector, roughly.
int64_t flops_of(const codegen::LoopNode& n) {
  switch (n.op) {
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::relu:
    case Op::neg:
    case Op::abs:
      return 1;
    case Op::sqrt:
    case Op::rsqrt:
    case Op::div:
    case Op::reciprocal:
      return 8;
    default:
      return n.op <= Op::kCount && op_info(n.op).kind == OpKind::Pointwise && n.n_in == 1 ? 20 : 2;
  }
}

int64_t numel(const codegen::LoopSpec& spec) {
  int64_t n = 1;
  for (int64_t s : spec.sizes) n *= s;
  return n;
}

/// How many parts dimension d can be cut into; 0: not to be divided.
int64_t parts_of(const codegen::LoopSpec& spec, size_t d) {
  const size_t rank = spec.sizes.size();
  if (spec.mode == LoopMode::Row && d == rank - 1) return 0;
  if (spec.mode == LoopMode::Column && d == rank - 2) return 0;
  for (const codegen::LoopOperand& o : spec.operands)
    if (o.output && o.strides[d] == 0) return 0;
  if (d < rank - 1) return spec.sizes[d];
  return spec.sizes[d] / (spec.mode == LoopMode::Column ? kColumns : kLastPart);
}

}  // namespace

int64_t estimated_ns(const codegen::LoopSpec& spec) {
  int64_t bytes = 0, flops = 0;
  for (const codegen::LoopOperand& o : spec.operands) {
    auto n = static_cast<int64_t>(element_size(o.dtype));
    for (size_t d = 0; d < spec.sizes.size(); ++d)
      if (o.strides[d] != 0) n *= spec.sizes[d];
    bytes += n;
  }
  for (const codegen::LoopNode& n : spec.nodes)
    flops += n.kind == LoopKind::Compute ? flops_of(n) : n.kind == LoopKind::Reduce || n.kind == LoopKind::Cast;
  return sinter::estimated_ns(bytes, flops * numel(spec));
}

void choose_split(codegen::LoopSpec& spec) {
  if (codegen::is_sized_at_run_time(spec) || numel(spec) == 0 || estimated_ns(spec) < kSplitNs) return;
  int64_t most = 1;
  for (size_t d = 0; d < spec.sizes.size() && most < kManyParts; ++d) {
    if (parts_of(spec, d) <= most) continue;
    most = parts_of(spec, d);
    spec.split = static_cast<int32_t>(d);
  }
}

}  // namespace sinter

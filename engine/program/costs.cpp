#include "costs.h"
#include <fmt/format.h>
#include <algorithm>
#include "../../runtime/mutants.h"
#include "buffers.h"

namespace sinter {

namespace {

double product(const SizeVec& sizes) {
  double n = 1;
  for (const int64_t s : sizes) n *= static_cast<double>(s);
  return n;
}

/// Bytes of an operand of a loop: a dimension of stride 0 reads the same ones again.
double operand_bytes(const codegen::LoopOperand& o, const SizeVec& sizes) {
  double n = static_cast<double>(element_size(o.dtype));
  for (size_t d = 0; d < sizes.size(); ++d)
    if (o.strides[d] != 0 || SINTER_MUTANT(costs_count_broadcasts)) n *= static_cast<double>(sizes[d]);
  return n;
}

StepCost kernel_cost(const PlannedStep& step) {
  const codegen::LoopSpec& spec = step.lowered.spec;
  SizeVec sizes = spec.sizes;
  StepCost cost;
  for (const codegen::LoopOperand& o : spec.operands) cost.bytes += operand_bytes(o, sizes);
  for (const codegen::LoopNode& n : spec.nodes) cost.wide |= n.dtype == ScalarType::Double;
  const double elements = product(sizes);
  cost.flops = elements * step.kernel->element_flops;
  const size_t axis = sizes.size() - (spec.mode == codegen::LoopMode::Column ? 2 : 1);
  if (spec.mode != codegen::LoopMode::Pointwise && sizes[axis] > 0)
    cost.flops += elements / static_cast<double>(sizes[axis]) * step.kernel->row_flops;
  return cost;
}

double value_bytes(const GraphNode& n) {
  return static_cast<double>(n.numel()) * static_cast<double>(element_size(n.meta.dtype));
}

}  // namespace

StepCost cost_of(const Graph& graph, const PlannedStep& step) {
  if (step.kernel) return kernel_cost(step);
  const GraphNode& n = graph[step.value];
  StepCost cost;
  cost.bytes = value_bytes(n) * (step.copy_to >= 0 ? 2 : 1);
  if (step.copy_to >= 0) return cost;
  for (const ValueId v : n.in)
    if (v >= 0) cost.bytes += value_bytes(graph[v]);
  cost.wide = n.meta.dtype == ScalarType::Double;
  if (op_info(n.op).kind == OpKind::Gemm) {  // 2 M N K
    const GraphNode& left = graph[n.in[n.op == Op::addmm ? 1 : 0]];
    cost.flops = 2 * static_cast<double>(n.numel()) * static_cast<double>(left.meta.sizes.back());
  }
  if (step.product) {
    cost.flops += static_cast<double>(n.numel()) * step.product->epilogue_flops;
    for (size_t i = 0; i < step.lowered.operands.size(); ++i)
      if (const fuse::Binding& b = step.lowered.operands[i]; !b.output && b.base != step.value)
        cost.bytes += operand_bytes(step.lowered.spec.operands[i], step.lowered.spec.sizes);
  }
  if (op_info(n.op).kind == OpKind::Attention) {  // both products
    const SizeVec &q = graph[n.in[0]].meta.sizes, &k = graph[n.in[1]].meta.sizes;
    const double rows = static_cast<double>(numel_of(q)) / static_cast<double>(std::max<int64_t>(q.back(), 1));
    cost.flops = 2 * rows * static_cast<double>(k[k.size() - 2]) * static_cast<double>(q.back() + n.meta.sizes.back());
  }
  return cost;
}

namespace {
struct Limits {
  double compute_us, memory_us;
};
Limits limits_of(const StepCost& cost, const machine::Rates& rates) {
  const double flops = cost.wide ? rates.flops_f64 : rates.flops_f32, bytes = rates.bytes_per_second(cost.bytes);
  return {flops > 0 ? cost.flops / flops * 1e6 : 0, bytes > 0 ? cost.bytes / bytes * 1e6 : 0};
}
}  // namespace

double StepCost::attainable_us(const machine::Rates& rates) const {
  const Limits limits = limits_of(*this, rates);
  return std::max(limits.compute_us, limits.memory_us);
}

bool StepCost::memory_bound(const machine::Rates& rates) const {
  const Limits limits = limits_of(*this, rates);
  return limits.memory_us >= limits.compute_us;
}

std::string StepCost::str(const machine::Rates& rates) const {
  std::string s = fmt::format("{}: {:.2f} us; {:.0f} bytes, {:.0f} flops", name, us, bytes, flops);
  if (frozen_bytes > 0) s += fmt::format("; on frozen weights, {} bytes packed", frozen_bytes);
  const double least = attainable_us(rates);
  if (us <= 0 || least <= 0) return s;
  // Said in the unit that limits it; what computes nothing has no other.
  if (memory_bound(rates))
    return s + fmt::format("; {:.1f} GB/s of {:.1f} attainable (memory)", bytes / us / 1e3, bytes / least / 1e3);
  return s + fmt::format("; {:.1f} GFLOP/s of {:.1f} attainable (arithmetic)", flops / us / 1e3, flops / least / 1e3);
}

}  // namespace sinter

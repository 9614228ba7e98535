#include "plan.h"
#include <algorithm>
#include "../../runtime/mutants.h"

namespace sinter::codegen {

bool is_short_operator(Op op) {
  switch (op) {
    case Op::add:
    case Op::sub:
    case Op::mul:
    case Op::neg:
    case Op::abs:
    case Op::relu:
    case Op::minimum:
    case Op::maximum:
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::gt:
    case Op::ge:
    case Op::where:
    case Op::logical_and:
    case Op::logical_or:
    case Op::logical_xor:
    case Op::logical_not:
    case Op::addcmul:
    case Op::threshold_backward:
      return true;
    default:
      return false;
  }
}

ScalarType compute_type(const LoopSpec& spec, const LoopNode& n) {
  return spec.nodes[static_cast<size_t>(n.in[n.op == Op::where ? 1 : 0])].dtype;
}

namespace {

constexpr size_t kMaxNodes = 2048;  // bounds recursion and code size; fusion stays far below

const char* refuse_node(const LoopSpec& spec, const LoopNode& n, int at) {
  if (n.dtype == ScalarType::Undefined) return "undefined dtype";
  for (int i = 0; i < n.n_in; ++i)
    if (n.in[i] < 0 || n.in[i] >= at) return "operand out of order";
  switch (n.kind) {
    case LoopKind::Load:
      return n.index >= 0 && static_cast<size_t>(n.index) < spec.operands.size() ? nullptr : "bad operand";
    case LoopKind::Scalar:
      return n.index >= 0 && static_cast<size_t>(n.index) < spec.scalars.size() ? nullptr : "bad scalar";
    case LoopKind::Iota:
      return n.index >= 0 && static_cast<size_t>(n.index) < spec.sizes.size() ? nullptr : "bad dimension";
    case LoopKind::Compute:
      return n.n_in > 0 && can_emit(n.op, compute_type(spec, n)) ? nullptr : "operator";
    case LoopKind::Reduce:
      if (spec.mode == LoopMode::Pointwise) return "reduction in pointwise mode";
      return n.dtype == ScalarType::Bool ? "reduction of bool" : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace

const char* LoopPlan::refuse(const LoopSpec& spec) {
  const size_t rank = spec.sizes.size();
  if (spec.nodes.size() > kMaxNodes) return "too many nodes";
  if (rank == 0 || (spec.mode == LoopMode::Column && rank < 2)) return "rank";
  for (const LoopOperand& o : spec.operands) {
    if (o.strides.size() != rank || o.dtype == ScalarType::Undefined) return "operand";
    if (o.strides.back() != kAnyStride && (o.strides.back() > kMaxLaneStride || o.strides.back() < -kMaxLaneStride))
      return "stride";
  }
  for (size_t i = 0; i < spec.nodes.size(); ++i)
    if (const char* why = refuse_node(spec, spec.nodes[i], static_cast<int>(i))) return why;
  for (const LoopStore& s : spec.stores) {
    if (s.node < 0 || static_cast<size_t>(s.node) >= spec.nodes.size()) return "store";
    if (s.operand < 0 || static_cast<size_t>(s.operand) >= spec.operands.size()) return "store";
    if (spec.nodes[static_cast<size_t>(s.node)].dtype != spec.operands[static_cast<size_t>(s.operand)].dtype)
      return "store dtype";
  }
  return nullptr;
}

int LoopPlan::lanes_for(const LoopSpec& spec, Isa isa, bool narrow) {
  bool wide = narrow;
  for (const LoopNode& n : spec.nodes)
    wide |= n.kind == LoopKind::Iota || n.dtype == ScalarType::Long || n.dtype == ScalarType::Double;
  for (const LoopOperand& o : spec.operands) wide |= element_size(o.dtype) == 8;
  return (isa == Isa::Avx512 ? 16 : 8) / (wide ? 2 : 1);
}

LoopPlan::LoopPlan(KernelFrame& frame) : f_(frame) {
  const size_t n = f_.spec.nodes.size();
  axis_ = f_.spec.sizes.size() - (f_.spec.mode == LoopMode::Column ? 2 : 1);
  slot.assign(n, -1);
  buffer_.assign(n, -1);
  wants_slot_.assign(n, false);
  accumulator_.assign(n, -1);
  analyse();
  find_live();
  int stages = 1;
  for (size_t i = 0; i < n; ++i)
    if (live_[i]) stages = std::max(stages, stage_[i] + 1);
  reduces.resize(static_cast<size_t>(stages));
  for (int k = 0; k < stages; ++k) {
    uniforms.emplace_back(f_.isa, f_.lanes, f_.pool);
    sweeps.emplace_back(f_.isa, f_.lanes, f_.pool);
  }
  make_accumulators();
  for (int k = stages - 1; k >= 0; --k) build_sweep(k);
  for (int k = stages - 1; k >= 0; --k) build_uniform(k);
  for (Ir& ir : sweeps) ir.finish();
  for (Ir& ir : uniforms) ir.finish();
}

double LoopPlan::element_flops() const {
  double sum = 0;
  for (const Ir& ir : sweeps) sum += ir.flops();
  return sum;
}

double LoopPlan::row_flops() const {
  double sum = 0;
  for (const Ir& ir : uniforms) sum += ir.flops();
  return sum;
}

void LoopPlan::analyse() {
  for (size_t i = 0; i < f_.spec.nodes.size(); ++i) {
    const LoopNode& n = f_.spec.nodes[i];
    bool varies = false;
    int stage = 0;
    switch (n.kind) {
      case LoopKind::Load:
        varies = f_.spec.operands[static_cast<size_t>(n.index)].strides[axis_] != 0;
        break;
      case LoopKind::Iota:
        varies = static_cast<size_t>(n.index) == axis_;
        break;
      case LoopKind::Reduce:
        stage = stage_[static_cast<size_t>(n.in[0])] + 1;
        break;
      case LoopKind::Compute:
      case LoopKind::Cast:
        for (int k = 0; k < n.n_in; ++k) {
          const auto in = static_cast<size_t>(n.in[k]);
          varies = varies || varies_[in];
          stage = std::max(stage, stage_[in]);
        }
        break;
      default:
        break;
    }
    varies_.push_back(varies);
    stage_.push_back(stage);
  }
}

void LoopPlan::find_live() {
  live_.assign(f_.spec.nodes.size(), false);
  for (const LoopStore& s : f_.spec.stores) live_[static_cast<size_t>(s.node)] = true;
  for (size_t i = f_.spec.nodes.size(); i-- > 0;) {
    if (!live_[i]) continue;
    for (int k = 0; k < f_.spec.nodes[i].n_in; ++k) live_[static_cast<size_t>(f_.spec.nodes[i].in[k])] = true;
  }
  for (size_t i = 0; i < f_.spec.nodes.size(); ++i)
    if (live_[i] && f_.spec.nodes[i].kind == LoopKind::Scalar) slot[i] = f_.alloc(64);
}

void LoopPlan::make_accumulators() {
  const bool column = f_.spec.mode == LoopMode::Column;
  for (size_t i = 0; i < f_.spec.nodes.size(); ++i) {
    const LoopNode& n = f_.spec.nodes[i];
    if (!live_[i] || n.kind != LoopKind::Reduce) continue;
    Accumulator acc;
    acc.kind = n.reduce;
    acc.elt = elt_of(n.dtype);
    acc.copies = column ? kMaxColumnCopies : 16 / f_.lanes;
    std::fill(std::begin(acc.reg), std::end(acc.reg), int8_t{-1});
    acc.slot = f_.alloc(64 * acc.copies);
    if (n.reduce == ReduceKind::Sum) acc.total = f_.alloc(64 * acc.copies);
    acc.value = slot[i] = f_.alloc(64 * (column ? acc.copies : 1));
    acc.single = f_.spec.sizes[axis_] == 1 && !SINTER_MUTANT(single_element_is_added);
    accumulator_[i] = static_cast<int32_t>(f_.accumulators.size());
    reduces[static_cast<size_t>(stage_[i] - 1)].push_back(accumulator_[i]);
    f_.accumulators.push_back(acc);
  }
}

/// A number per row stored to an operand that does not move along the row is written once, outside the sweep.
bool LoopPlan::store_in_sweep(const LoopStore& s) const {
  return varies(s.node) || f_.spec.operands[static_cast<size_t>(s.operand)].strides[axis_] != 0;
}

/// An output may share its memory with an input of the same dtype and strides (an in-place update).
bool LoopPlan::may_alias(int operand) const {
  if (SINTER_MUTANT(outputs_never_share_memory)) return false;
  const LoopOperand& out = f_.spec.operands[static_cast<size_t>(operand)];
  for (const LoopOperand& o : f_.spec.operands)
    if (!o.output && o.dtype == out.dtype && o.strides == out.strides) return true;
  return false;
}

/// The sweep that writes an output: the last one when an earlier write could change what a later sweep reads.
int LoopPlan::store_stage(const LoopStore& s) const {
  return store_in_sweep(s) && may_alias(s.operand) ? static_cast<int>(sweeps.size()) - 1 : stage(s.node);
}

/// All values before the first store when memory may be shared; else each store as soon as its value is there.
void LoopPlan::emit_stores(Piece p, bool in_sweep) {
  EmitBuilder b(*p.ir);
  std::vector<LoopStore> stores;
  bool shared = false;
  for (const LoopStore& s : f_.spec.stores) {
    if (store_in_sweep(s) != in_sweep || store_stage(s) != p.stage) continue;
    stores.push_back(s);
    shared = shared || may_alias(s.operand);
  }
  std::sort(stores.begin(), stores.end(), [](const LoopStore& x, const LoopStore& y) { return x.node < y.node; });
  if (shared)
    for (const LoopStore& s : stores) lower(p, s.node);
  for (const LoopStore& s : stores) {
    V v = lower(p, s.node);
    p.ir->current_node = s.node;
    if (v.elt == Elt::Mask) v = b.mask_canonical(v);
    p.ir->push(Vop::Store, v.elt, -1, v.id).index = s.operand;
  }
}

void LoopPlan::build_sweep(int k) {
  Piece p{&sweeps[static_cast<size_t>(k)], k, true};
  env_.assign(f_.spec.nodes.size(), V{});
  for (size_t i = 0; i < f_.spec.nodes.size(); ++i) {
    const bool reduced_here = accumulator_[i] >= 0 && stage_[i] - 1 == k;
    if (reduced_here) {
      const V v = lower(p, f_.spec.nodes[i].in[0]);
      p.ir->current_node = static_cast<int32_t>(i);
      p.ir->push(Vop::Accumulate, v.elt, -1, v.id).index = accumulator_[i];
    } else if (buffer_[i] >= 0 && stage_[i] == k) {
      const V v = lower(p, static_cast<int>(i));
      p.ir->current_node = static_cast<int32_t>(i);
      p.ir->push(Vop::BufferStore, v.elt, -1, v.id).index = buffer_[i];
    }
  }
  emit_stores(p, true);
}

void LoopPlan::build_uniform(int k) {
  Piece p{&uniforms[static_cast<size_t>(k)], k, false};
  env_.assign(f_.spec.nodes.size(), V{});
  EmitBuilder b(*p.ir);
  for (size_t i = 0; i < f_.spec.nodes.size(); ++i) {
    if (!wants_slot_[i] || stage_[i] != k) continue;
    V v = lower(p, static_cast<int>(i));
    p.ir->current_node = static_cast<int32_t>(i);
    if (v.elt == Elt::Mask) v = b.mask_canonical(v);
    p.ir->push(Vop::SaveSlot, v.elt, -1, v.id).index = slot[i];
  }
  emit_stores(p, false);
}

LoopPlan::V LoopPlan::uniform_slot(Piece p, int n) {
  const auto i = static_cast<size_t>(n);
  const bool column = f_.spec.mode == LoopMode::Column;
  const bool scalar = node(n).kind == LoopKind::Scalar;
  if (slot[i] < 0) {
    slot[i] = f_.alloc(column ? 64 * kMaxColumnCopies : 64);
    wants_slot_[i] = true;
  }
  const Elt e = elt_of(node(n).dtype);
  return {p.ir->slot(e, 0, slot[i], column && !scalar ? 64 : 0), e};
}

/// Instructions to compute a node again from memory, or more than `limit`.
int LoopPlan::recompute_cost(int n, int limit) const {
  const LoopNode& x = node(n);
  if (!varies(n)) return 0;
  int cost = 1;
  if (x.kind == LoopKind::Compute && !is_short_operator(x.op)) return limit + 1;
  for (int i = 0; i < x.n_in && cost <= limit; ++i) cost += recompute_cost(x.in[i], limit - cost);
  return cost;
}

bool LoopPlan::keeps_buffer(int n) const {
  if (f_.spec.mode != LoopMode::Row || node(n).dtype == ScalarType::Bool) return false;
  return node(n).kind != LoopKind::Load && recompute_cost(n, f_.tuning.recompute_limit) > f_.tuning.recompute_limit;
}

LoopPlan::V LoopPlan::lower(Piece p, int n) {
  V& known = env_[static_cast<size_t>(n)];
  if (known.id >= 0) return known;
  const LoopNode& x = node(n);
  V v;
  if (x.kind == LoopKind::Constant) {
    p.ir->current_node = n;
    v = EmitBuilder(*p.ir).constant_bits(x.dtype, x.bits);
  } else if (x.kind == LoopKind::Scalar || x.kind == LoopKind::Reduce || (!varies(n) && (p.sweep || stage(n) < p.stage))) {
    v = uniform_slot(p, n);
  } else if (varies(n) && stage(n) < p.stage && keeps_buffer(n)) {
    const auto i = static_cast<size_t>(n);
    if (buffer_[i] < 0 && f_.any_last()) {  // scratch_ counts the bytes for each 16 elements
      f_.row_buffers.push_back({f_.alloc(8), static_cast<int32_t>(scratch_)});
      buffer_[i] = f_.row_buffers.back().slot;
      scratch_ += 16 * element_size(x.dtype);
      buffers_used = true;
    } else if (buffer_[i] < 0) {
      const size_t row = static_cast<size_t>(f_.spec.sizes.back() + 15) / 16 * 16;
      buffer_[i] = static_cast<int32_t>(scratch_);
      scratch_ += (row * element_size(x.dtype) + 63) / 64 * 64;
      buffers_used = true;
    }
    v = {p.ir->new_reg(elt_of(x.dtype)), elt_of(x.dtype)};
    p.ir->current_node = n;
    p.ir->push(Vop::BufferLoad, v.elt, v.id).index = buffer_[i];
  } else {
    v = compute(p, n);
  }
  return env_[static_cast<size_t>(n)] = v;
}

LoopPlan::V LoopPlan::compute(Piece p, int n) {
  const LoopNode& x = node(n);
  const Elt e = elt_of(x.dtype);
  V in[4];
  for (int i = 0; i < x.n_in; ++i) in[i] = lower(p, x.in[i]);
  p.ir->current_node = n;
  EmitBuilder b(*p.ir);
  switch (x.kind) {
    case LoopKind::Load: {
      const V v{p.ir->new_reg(e), e};
      p.ir->push(Vop::Load, e, v.id).index = x.index;
      return v;
    }
    case LoopKind::Iota: {
      const V v{p.ir->new_reg(Elt::I64), Elt::I64};
      p.ir->push(Vop::Iota, Elt::I64, v.id).index = x.index;
      return b.cast(x.dtype, v);
    }
    case LoopKind::Cast:
      return b.cast(x.dtype, in[0]);
    default:
      return emit_expression(b, x.op, compute_type(f_.spec, x), in, x.n_in, x.bits);
  }
}

}  // namespace sinter::codegen

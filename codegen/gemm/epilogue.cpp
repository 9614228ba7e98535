#include "epilogue.h"
#include <algorithm>
#include "../loop/plan.h"

namespace sinter::codegen {

namespace {

/// Strides over {rows, columns}, from those over the dimensions of `sizes`. False when the operand lies otherwise.
bool strides_over_result(const SizeVec& sizes, const SizeVec& strides, int64_t rows, int64_t columns, SizeVec& out) {
  const bool flat = sizes.size() == 1 && sizes[0] == rows * columns;
  if (!flat && !(sizes.size() == 2 && sizes[0] == rows && sizes[1] == columns)) return false;
  const int64_t inner = strides.back(), outer = flat ? inner * columns : strides[0];
  if (inner == 0 && outer == 0) out = {0, 0};
  else if (inner == 1 && outer == columns) out = {columns, 1};
  else if (inner == 1 && outer == 0) out = {0, 1};
  else return false;
  return true;
}

/// A few instructions.
bool is_quick(Op op) { return is_short_operator(op) || op == Op::clamp || op == Op::sigmoid_backward || op == Op::tanh_backward; }

bool takes_node(const LoopNode& n, ScalarType t) {
  switch (n.kind) {
    case LoopKind::Load:
    case LoopKind::Constant:
    case LoopKind::Compute:
    case LoopKind::Cast:
      return n.dtype == t || n.dtype == ScalarType::Bool;
    case LoopKind::Scalar:
      return n.dtype == t;
    default:
      return false;
  }
}

}  // namespace

EpilogueOperand Epilogue::kind(size_t operand) const {
  const SizeVec& s = spec.operands[operand].strides;
  return s[0] != 0 ? EpilogueOperand::Whole : s[1] != 0 ? EpilogueOperand::Row : EpilogueOperand::Element;
}

bool Epilogue::has_whole() const {
  for (size_t i = 0; i < spec.operands.size(); ++i)
    if (!spec.operands[i].output && static_cast<int32_t>(i) != product && kind(i) == EpilogueOperand::Whole) return true;
  return false;
}

bool Epilogue::is_long() const {
  return std::any_of(spec.nodes.begin(), spec.nodes.end(),
                     [](const LoopNode& n) { return n.kind == LoopKind::Compute && !is_quick(n.op); });
}

std::string Epilogue::name() const { return kernel_name(spec); }

std::shared_ptr<const Epilogue> make_epilogue(const LoopSpec& spec, int32_t product, int64_t rows, int64_t columns) {
  if (spec.mode != LoopMode::Pointwise || spec.stores.size() != 1 || spec.operands.size() > kMostEpilogueOperands) return nullptr;
  const ScalarType t = spec.operands[static_cast<size_t>(product)].dtype;
  const auto result = static_cast<size_t>(spec.stores[0].operand);
  if (!is_floating(t) || spec.operands[result].dtype != t) return nullptr;
  for (const LoopNode& n : spec.nodes)
    if (!takes_node(n, t)) return nullptr;
  auto e = std::make_shared<Epilogue>();
  e->spec = spec;
  e->spec.split = -1;
  e->product = product;
  for (size_t i = 0; i < spec.operands.size(); ++i) {
    SizeVec& strides = e->spec.operands[i].strides;
    if (!strides_over_result(spec.sizes, spec.operands[i].strides, rows, columns, strides)) return nullptr;
    const bool whole = i == result || i == static_cast<size_t>(product);
    if (whole && e->kind(i) != EpilogueOperand::Whole) return nullptr;
    if (spec.operands[i].output && i != result) return nullptr;
  }
  e->spec.sizes = {rows, columns};
  return e;
}

}  // namespace sinter::codegen

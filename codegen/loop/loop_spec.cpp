#include "loop_spec.h"
#include <fmt/format.h>
#include <algorithm>
#include <cstring>
#include "../../runtime/kernels/reduce_order.h"
#include "../../runtime/mutants.h"

namespace sinter::codegen {

namespace {

std::string constant_text(const LoopNode& n) {
  switch (n.dtype) {
    case ScalarType::Float: {
      float f;
      std::memcpy(&f, &n.bits, 4);
      return fmt::format("{}", f);
    }
    case ScalarType::Double: {
      double d;
      std::memcpy(&d, &n.bits, 8);
      return fmt::format("{}", d);
    }
    default:
      return fmt::format("{}", static_cast<int64_t>(n.bits));
  }
}

/// "[*, 512]", * where it is an argument.
std::string extents_text(IntArrayRef values, int64_t any) {
  std::string text = "[";
  for (size_t d = 0; d < values.size(); ++d)
    text += (d ? ", " : "") + (values[d] == any ? std::string("*") : std::to_string(values[d]));
  return text + "]";
}

std::string inputs(const LoopNode& n) {
  std::string text = "(";
  for (int i = 0; i < n.n_in; ++i) text += fmt::format("{}%{}", i ? ", " : "", n.in[i]);
  return text + ")";
}

const char* reduce_name(ReduceKind k) { return k == ReduceKind::Sum ? "sum" : k == ReduceKind::Max ? "max" : "min"; }

std::string node_text(const LoopNode& n) {
  switch (n.kind) {
    case LoopKind::Load:
      return fmt::format("load a{}", n.index);
    case LoopKind::Scalar:
      return fmt::format("scalar s{}", n.index);
    case LoopKind::Constant:
      return constant_text(n);
    case LoopKind::Iota:
      return fmt::format("iota dim {}", n.index);
    case LoopKind::Cast:
      return "cast" + inputs(n);
    case LoopKind::Reduce:
      return reduce_name(n.reduce) + inputs(n);
    default:
      break;
  }
  std::string text = op_info(n.op).name + inputs(n);
  if (n.bits) text += fmt::format(" attr {:#x}", n.bits);
  return text;
}

}  // namespace

bool is_sized_at_run_time(const LoopSpec& spec) {
  return has_any(spec.sizes, kAnySize) || std::any_of(spec.operands.begin(), spec.operands.end(),
                                                      [](const LoopOperand& o) { return has_any(o.strides, kAnyStride); });
}

std::vector<SizeArgument> size_arguments(const LoopSpec& spec) {
  std::vector<SizeArgument> all;
  const auto rank = static_cast<int32_t>(spec.sizes.size());
  const int32_t reduced = spec.mode == LoopMode::Pointwise ? -1 : rank - (spec.mode == LoopMode::Column ? 2 : 1);
  for (int32_t d = 0; d < rank; ++d)
    if (spec.sizes[static_cast<size_t>(d)] == kAnySize) all.push_back({SizeArgument::Extent, d, -1});
  if (reduced >= 0 && spec.sizes[static_cast<size_t>(reduced)] == kAnySize) all.push_back({SizeArgument::Fold, reduced, -1});
  for (size_t i = 0; i < spec.operands.size(); ++i)
    for (int32_t d = 0; d < rank; ++d)
      if (spec.operands[i].strides[static_cast<size_t>(d)] == kAnyStride)
        all.push_back({SizeArgument::Stride, d, static_cast<int32_t>(i)});
  return all;
}

int64_t fold_mask(LoopMode mode, int64_t extent) {
  const int64_t steps = mode == LoopMode::Row ? reduce_block_steps_of((extent + kReduceLanes - 1) / kReduceLanes) * kReduceLanes
                                              : reduce_block_steps_of(extent);
  return steps * (SINTER_MUTANT(any_sums_folded_later) ? 2 : 1) - 1;
}

std::vector<int64_t> size_values(const LoopSpec& spec, IntArrayRef sizes, const std::vector<LoopOperand>& operands) {
  std::vector<int64_t> values;
  for (const SizeArgument& a : size_arguments(spec)) {
    const auto d = static_cast<size_t>(a.dim);
    if (a.kind == SizeArgument::Extent) values.push_back(sizes[d]);
    if (a.kind == SizeArgument::Fold) values.push_back(fold_mask(spec.mode, sizes[d]));
    if (a.kind != SizeArgument::Stride) continue;
    const LoopOperand& o = operands[static_cast<size_t>(a.operand)];
    values.push_back(o.strides[d] * static_cast<int64_t>(element_size(o.dtype)));
  }
  return values;
}

bool make_sized_at_run_time(const LoopSpec& spec, LoopSpec& any) {
  // Lanes behind the end hold zeros: floating-point operators take those, integer division does not.
  const auto floating = [](const auto& x) { return is_floating(x.dtype); };
  if (spec.mode != LoopMode::Pointwise || spec.sizes.size() != 1 || spec.stores.empty() ||
      !std::all_of(spec.operands.begin(), spec.operands.end(), floating))
    return false;
  for (const LoopNode& n : spec.nodes)
    if (!is_floating(n.dtype) && n.dtype != ScalarType::Bool) return false;
  for (const LoopOperand& o : spec.operands)
    if (o.strides[0] != 1 && (o.output || o.strides[0] != 0)) return false;
  any = spec;
  any.sizes[0] = kAnySize;
  return true;
}

std::string to_string(const LoopSpec& spec) {
  constexpr const char* modes[] = {"pointwise", "row", "column"};
  std::string text = fmt::format("{} {}\n", modes[static_cast<int>(spec.mode)], extents_text(spec.sizes, kAnySize));
  for (size_t i = 0; i < spec.operands.size(); ++i) {
    const LoopOperand& o = spec.operands[i];
    text += fmt::format("  a{}: {} {} strides {}\n", i, o.output ? "out" : "in", dtype_short_name(o.dtype),
                        extents_text(o.strides, kAnyStride));
  }
  for (size_t i = 0; i < spec.nodes.size(); ++i)
    text += fmt::format("  %{}: {} = {}\n", i, dtype_short_name(spec.nodes[i].dtype), node_text(spec.nodes[i]));
  for (const LoopStore& s : spec.stores) text += fmt::format("  store %{} -> a{}\n", s.node, s.operand);
  if (spec.split >= 0) text += fmt::format("  takes a range of dim {}\n", spec.split);
  return text;
}

std::string kernel_name(const LoopSpec& spec) {
  constexpr size_t kLongest = 48;
  std::string name;
  const auto append = [&](std::string_view word) {
    if (name.size() > kLongest) return;
    if (!name.empty()) name += '_';
    name += word;
  };
  for (const LoopNode& n : spec.nodes) {
    if (n.kind == LoopKind::Compute) append(op_info(n.op).name);
    if (n.kind == LoopKind::Cast) append(dtype_short_name(n.dtype));
    if (n.kind == LoopKind::Reduce) append(reduce_name(n.reduce));
    if (n.kind == LoopKind::Iota) append("iota");
  }
  if (name.size() > kLongest) name += "_etc";
  return name.empty() ? "copy" : name;
}

}  // namespace sinter::codegen

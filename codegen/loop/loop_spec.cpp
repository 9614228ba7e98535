#include "loop_spec.h"
#include <fmt/format.h>
#include <algorithm>
#include <cstring>

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
  std::string text = fmt::format("{} {}\n", modes[static_cast<int>(spec.mode)], to_string(IntArrayRef(spec.sizes)));
  for (size_t i = 0; i < spec.operands.size(); ++i) {
    const LoopOperand& o = spec.operands[i];
    text += fmt::format("  a{}: {} {} strides {}\n", i, o.output ? "out" : "in", dtype_short_name(o.dtype),
                        to_string(IntArrayRef(o.strides)));
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

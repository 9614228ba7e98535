#include "reason.h"
#include <algorithm>
#include "compiled_state.h"
#include "report.h"

namespace sinter {
namespace {

/// "2 <= s0 <= 128"
std::string range_text(const DimMark& r, const std::string& name) {
  return (r.min > 0 ? std::to_string(r.min) + " <= " : "") + name + (r.max < INT64_MAX ? " <= " + std::to_string(r.max) : "");
}

std::string guard_difference(const InputGuard& g, TensorImpl* t, const std::string& name) {
  const uint64_t now = Context::guard_head(t);
  const auto dtype_of = [](uint64_t h) { return dtype_name(static_cast<ScalarType>((h >> head::kDtypeShift) & 0xff)); };
  if ((now ^ g.head) & (0xffull << head::kDtypeShift))
    return fmt::format("{} dtype was {}, now {}", name, dtype_of(g.head), dtype_of(now));
  if (g.sizes.size() != t->sizes.size()) return fmt::format("{} rank was {}, now {}", name, g.sizes.size(), t->sizes.size());
  if ((now ^ g.head) & head::kRequiresGrad)
    return fmt::format("{} requires_grad was {}, now {}", name, (g.head & head::kRequiresGrad) != 0,
                       (now & head::kRequiresGrad) != 0);
  if ((now ^ g.head) & head::kPooled) return fmt::format("{} was made outside the frame, now by an operator in it", name);
  if (now != g.head) return fmt::format("{} kind changed (wrapped number or inference tensor)", name);
  for (size_t d = 0; d < g.sizes.size(); ++d)
    if (g.sizes[d] != t->sizes[d] && !(g.free_dims >> d & 1))
      return fmt::format("{} size[{}] was {}, now {}", name, d, g.sizes[d], t->sizes[d]);
  for (const DimMark& r : g.ranges)
    if (const int64_t size = t->sizes[static_cast<size_t>(r.dim)]; size < r.min || size > r.max)
      return fmt::format("{} size[{}] is {}, outside of what mark_dynamic said: {}", name, r.dim, size, range_text(r, "it"));
  if (g.strides != t->strides && g.free_dims == 0)
    return fmt::format("{} strides were {}, now {}", name, to_string(g.strides), to_string(t->strides));
  return fmt::format("{} is the same tensor as another operand, or no longer is", name);
}

std::string event_difference(const Event& e, const OpCall& c, uint64_t key, const Context& context) {
  const uint64_t differ = (e.key & ~event_key::kEventBits) ^ key;
  const Op op = op_of(e);
  if (op != c.op)
    return fmt::format("expected {} ({}), got {} ({})", op_info(op).name, place(e.info->loc), op_info(c.op).name, place(c.loc));
  const std::string at = fmt::format("{} ({})", op_info(c.op).name, place(c.loc));
  if (differ >> 32) {
    const auto bits = static_cast<uint32_t>(differ >> 32);
    const char* what = bits & ambient::kGradMode        ? "grad mode"
                       : bits & ambient::kInferenceMode ? "inference mode"
                       : bits & ambient::kDefaultDouble ? "the default dtype"
                       : bits >> ambient::kMxcsrShift   ? "the floating-point control word"
                                                        : "the ambient options";
    return fmt::format("{}: {} changed", at, what);
  }
  if (differ) return fmt::format("{}: the form of the call changed (in-place, number of operands, type of a number)", at);
  if (e.attr != c.attr) return fmt::format("{}: an attribute was {:#x}, now {:#x}", at, e.attr, c.attr);
  size_t next_guard = 0;
  int32_t input = e.info->n_inputs_after - static_cast<int32_t>(e.info->guards.size());
  for (int i = 0; i < c.n_in && i < static_cast<int>(e.info->in.size()); ++i) {
    const int32_t s = e.info->in[static_cast<size_t>(i)];
    if ((s < 0) != (c.in[i] == nullptr))
      return fmt::format("{}: operand {} was {}, now {}", at, i, s < 0 ? "undefined" : "given", s < 0 ? "given" : "undefined");
    if (s < 0) continue;
    if (next_guard < e.info->guards.size() && e.info->guards[next_guard].operand == i) {
      const InputGuard& g = e.info->guards[next_guard++];
      const std::string text = guard_difference(g, c.in[i], name_input(c.in[i], input++, context));
      if (text.find("same tensor") == std::string::npos) return text;
      continue;
    }
    if (context.slots[s] != c.in[i]) return fmt::format("{}: operand {} is another tensor than before", at, i);
  }
  for (size_t i = 0; i < e.info->ints.size() && i < c.ints.size(); ++i)
    if (e.info->ints[i] != c.ints[i]) return fmt::format("{}: argument {} was {}, now {}", at, i, e.info->ints[i], c.ints[i]);
  return fmt::format("{}: operands share a tensor in another way than before", at);
}

}  // namespace

std::string explain_end(const Leaf& leaf) {
  if (leaf.next_variant != nullptr) return "inputs share memory in another way than before";
  return fmt::format("the region ended at {}: {}", place(leaf.reason_loc), break_info(leaf.reason).text);
}

std::string name_input(TensorImpl* t, int32_t input_number, const Context& context) {
  const auto* end = context.arguments + context.n_arguments;
  const auto* it = std::find(context.arguments, end, t);
  if (it == end) return fmt::format("captured input {}", input_number);
  const auto k = static_cast<size_t>(it - context.arguments);
  const auto& names = context.owner().options.arg_names;
  return k < names.size() ? fmt::format("input {} '{}'", k, names[k]) : fmt::format("input {}", k);
}

std::string explain_miss(const OpCall& c, uint64_t key, const Event* first, const Event* last, const Context& context) {
  if (first == nullptr)
    return last == nullptr ? "first call" : fmt::format("the region went on with {} ({})", op_info(c.op).name, place(c.loc));
  // The alternative that agrees longest tells most: the same operator rather than another, the newest of these.
  const Event* best = first;
  for (const Event* e = first; e != nullptr; e = e->info->sibling.load(std::memory_order_acquire))
    if (((e->key ^ key) & event_key::kOpMask) == 0 &&
        (e->info->loc.line == c.loc.line || ((best->key ^ key) & event_key::kOpMask) != 0))
      best = e;
  return event_difference(*best, c, key, context);
}

std::string describe_guard(const InputGuard& g, const std::string& name, std::vector<int64_t>& symbols) {
  std::string shape = "[", ranges;
  for (size_t d = 0; d < g.sizes.size(); ++d) {
    shape += d ? ", " : "";
    if (!(g.free_dims >> d & 1)) {
      shape += std::to_string(g.sizes[d]);
      continue;
    }
    const auto at = std::find(symbols.begin(), symbols.end(), g.sizes[d]);
    const std::string symbol = fmt::format("s{}", at - symbols.begin());
    if (at == symbols.end()) symbols.push_back(g.sizes[d]);
    shape += symbol;
    for (const DimMark& r : g.ranges)
      if (static_cast<size_t>(r.dim) == d) ranges += ", " + range_text(r, symbol);
  }
  return fmt::format("{}: {}{}]{}{}{}", name, dtype_short_name(static_cast<ScalarType>((g.head >> head::kDtypeShift) & 0xff)),
                     shape, ranges, is_contiguous(g.sizes, g.strides) ? "" : " strides " + to_string(g.strides),
                     g.head & head::kRequiresGrad ? " requires_grad" : "");
}

}  // namespace sinter

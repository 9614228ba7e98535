#include <numeric>
#include "passes.h"

namespace sinter {

namespace {

uint64_t mix(uint64_t h, uint64_t v) {
  h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
  return h * 0xff51afd7ed558ccdull;
}

uint64_t hash_of(const GraphNode& n) {
  uint64_t h = mix(static_cast<uint64_t>(n.op), n.attr);
  h = mix(h, n.flags | static_cast<uint64_t>(n.meta.dtype) << 8 | static_cast<uint64_t>(n.compute) << 16);
  for (ValueId v : n.in) h = mix(h, static_cast<uint64_t>(v));
  for (int64_t v : n.ints) h = mix(h, static_cast<uint64_t>(v));
  for (const auto& s : n.scalars) h = mix(h, static_cast<uint64_t>(s.input) ^ s.constant.bits());
  for (int64_t v : n.meta.sizes) h = mix(h, static_cast<uint64_t>(v));
  return h;
}

bool equal(const GraphNode& a, const GraphNode& b) {
  return a.op == b.op && a.flags == b.flags && a.attr == b.attr && a.compute == b.compute && a.in == b.in && a.ints == b.ints &&
         a.scalars == b.scalars && a.meta == b.meta;
}

}  // namespace

bool merge_equal(Graph& graph) {
  const size_t n = graph.nodes.size();
  std::vector<ValueId> to(n);
  std::iota(to.begin(), to.end(), 0);
  size_t buckets = 16;
  while (buckets < 2 * n) buckets *= 2;
  std::vector<ValueId> table(buckets, -1);
  bool changed = false;
  for (size_t i = 0; i < n; ++i) {
    GraphNode& node = graph.nodes[i];
    if (node.dead) continue;
    for (ValueId& operand : node.in)
      if (operand >= 0) operand = to[operand];
    if (node.is_input()) continue;
    size_t b = hash_of(node) & (buckets - 1);
    while (table[b] >= 0 && !equal(graph.nodes[table[b]], node)) b = (b + 1) & (buckets - 1);
    if (table[b] < 0) {
      table[b] = static_cast<ValueId>(i);
    } else {
      to[i] = table[b];
      node.dead = true;
      changed = true;
    }
  }
  if (changed)
    for (auto& out : graph.outputs) out.value = to[out.value];
  return changed;
}

}  // namespace sinter

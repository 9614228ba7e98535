#include <numeric>
#include "../../runtime/mutants.h"
#include "passes.h"

namespace sinter {

namespace {

uint64_t mix(uint64_t h, uint64_t v) {
  h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
  return h * 0xff51afd7ed558ccdull;
}

uint64_t hash_of(const GraphNode& n) {
  uint64_t h = mix(static_cast<uint64_t>(n.op), SINTER_MUTANT(merge_without_attr) ? 0 : n.attr);
  const uint64_t flags = SINTER_MUTANT(merge_without_flags) ? 0 : n.flags,
                 compute = SINTER_MUTANT(merge_without_compute) ? 0 : static_cast<uint64_t>(n.compute);
  h = mix(h, flags | static_cast<uint64_t>(n.meta.dtype) << 8 | compute << 16);
  for (ValueId v : n.in) h = mix(h, static_cast<uint64_t>(v));
  if (!SINTER_MUTANT(merge_without_ints))
    for (int64_t v : n.ints) h = mix(h, static_cast<uint64_t>(v));
  if (!SINTER_MUTANT(merge_without_scalars))
    for (const auto& s : n.scalars) h = mix(h, static_cast<uint64_t>(s.input) ^ s.constant.bits());
  for (int64_t v : n.meta.sizes) h = mix(h, static_cast<uint64_t>(v));
  return h;
}

bool equal(const GraphNode& a, const GraphNode& b) {
  return a.op == b.op && (a.flags == b.flags || SINTER_MUTANT(merge_without_flags)) &&
         (a.attr == b.attr || SINTER_MUTANT(merge_without_attr)) &&
         (a.compute == b.compute || SINTER_MUTANT(merge_without_compute)) && a.in == b.in &&
         (a.ints == b.ints || SINTER_MUTANT(merge_without_ints)) &&
         (a.scalars == b.scalars || SINTER_MUTANT(merge_without_scalars)) &&
         (a.meta == b.meta ||
          (SINTER_MUTANT(merge_without_geometry) && a.meta.dtype == b.meta.dtype && a.meta.sizes == b.meta.sizes));
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

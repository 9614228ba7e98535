#include "graph.h"

namespace sinter {

void Graph::replace_all_uses(ValueId from, ValueId to) {
  for (auto& node : nodes)
    for (auto& operand : node.in)
      if (operand == from) operand = to;
  for (auto& out : outputs)
    if (out.value == from) out.value = to;
}

void Graph::replace_uses(const std::vector<ValueId>& to) {
  for (auto& node : nodes)
    for (auto& operand : node.in)
      if (operand >= 0) operand = to[operand];
  for (auto& out : outputs) out.value = to[out.value];
}

std::vector<int32_t> Graph::use_counts() const {
  std::vector<int32_t> counts(nodes.size(), 0);
  for (const auto& node : nodes) {
    if (node.dead) continue;
    for (ValueId operand : node.in)
      if (operand >= 0) ++counts[operand];
  }
  for (const auto& out : outputs) ++counts[out.value];
  return counts;
}

}  // namespace sinter

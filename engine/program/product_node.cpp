#include "product_node.h"

namespace sinter {

bool settle_node(const Graph& graph, ValueId v, SettledProduct& settled) {
  static char somewhere;  // operands have some address where they are there
  const GraphNode& n = graph[v];
  if (op_info(n.op).kind != OpKind::Gemm) return false;
  const auto view = [](const TensorMeta& m) { return TensorView{&somewhere, m.dtype, m.sizes, m.strides}; };
  std::vector<TensorView> in;
  for (const ValueId o : n.in) in.push_back(o < 0 ? TensorView() : view(graph[o].meta));
  KernelArgs args;
  args.op = n.op;
  args.flags = n.flags;
  args.n_scalars = static_cast<uint8_t>(n.scalars.size());
  args.compute = n.compute;
  args.attr = n.attr;
  args.ints = n.ints;
  args.out = view(n.meta);
  args.in = in;
  return settle_product(args, settled);
}

}  // namespace sinter

// A node of a graph as a matrix product whose geometry is settled.
#pragma once
#include "../../runtime/kernels/settled_product.h"
#include "../graph/graph.h"

namespace sinter {

/// False for other nodes, and for products that the eager kernel does more for (settle_product).
bool settle_node(const Graph& graph, ValueId v, SettledProduct& settled);

}  // namespace sinter

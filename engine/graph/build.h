// From events on tensors (slots) to values: views and writes are made functional.
#pragma once
#include "../frame/region.h"
#include "graph.h"

namespace sinter {

/// Builds the graph of a region. False when the region cannot be put in functional form: overlapping inputs in a region
/// that writes, or a write through a view that does not cover its whole base.
bool build_graph(const Region& region, Graph& graph);

}  // namespace sinter

// Graph to graph: each pass keeps the values, to the bit, and says whether it changed anything.
#pragma once
#include <vector>
#include "../graph/graph.h"

namespace sinter {

/// Runs every pass in order (pipeline.cpp is the list), logging and timing each under LogTopic::Graph. The graph is
/// verified after every pass when `verify_passes()`.
void run_passes(Graph& graph);
/// The list by name, in order; a name may stand there twice.
std::vector<const char*> pass_names();
/// Whether the verifier runs after each pass: on in builds with assertions of the tests (set_verify_passes).
bool verify_passes();
void set_verify_passes(bool on);

/// softmax(q k^T * scale + mask) v becomes scaled_dot_product_attention where nothing else needs scores or weights.
bool fuse_attention(Graph& graph);
/// Whether that still gives the bits of its spelling in a graph whose sizes have changed since.
bool fused_attention_fits(const Graph& graph);
/// Norms, softmax over the innermost dimension, mean, var, clamp and small losses become primitive operators, in the
/// order of operations of their eager kernels (runtime/kernels/{softmax,norm,loss}.h, reduce_order.h).
bool decompose(Graph& graph);
/// A view of a view becomes one view; a view that changes nothing becomes its base.
bool fold_views(Graph& graph);
/// Copies that change nothing, reductions over dimensions of size 1, neg(neg(x)) and the like. IEEE-safe rules only.
bool simplify(Graph& graph);
/// Equal nodes become one.
bool merge_equal(Graph& graph);
/// Every output becomes an operator of its own with exactly the wanted layout; write-backs of unchanged inputs go.
bool settle_outputs(Graph& graph);
/// Nodes that no output needs are marked dead.
bool remove_dead(Graph& graph);

}  // namespace sinter

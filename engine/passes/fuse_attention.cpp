// Attention written with primitive operators becomes one operator, where nothing else needs its scores or weights.
//
//   scores  = bmm(q, k^T)                    or a view of it with its leading dimensions apart
//   scores  = scores * scale, scores / scale  not needed
//   scores  = scores + mask, or where(mask, number, scores)   not needed
//   weights = softmax(scores, -1)
//   result  = bmm(weights, v)
//
// Kept to the bit: the kernel sums in the order of these products where those are chains (gemm_order.h).
#include "../../runtime/kernels/gemm_order.h"
#include "../../runtime/mutants.h"
#include "../../runtime/ops/attention.h"
#include "../graph/geometry.h"
#include "passes.h"

namespace sinter {

namespace {

/// What is found on the way from the result up to the first product.
struct Found {
  ValueId scores = -1, softmax = -1, mask = -1;  // scores: the first product
  ScalarRef scale{-1, Scalar(1.0)}, fill;
  uint64_t attr = kAttentionPlain;
  std::vector<ValueId> between;  // what only these steps use
};

/// Whether the eager kernel sums a product of these operands (the second as [.., k, n]) as the fused one does.
bool is_chain(const TensorMeta& a, const TensorMeta& b) {
  const auto dense = [](const TensorMeta& m) {
    return m.strides[1] == 1 || m.strides[2] == 1 || m.sizes[1] == 1 || m.sizes[2] == 1;
  };
  const bool dot = is_dot_product(a.sizes[1], b.sizes[2], a.sizes[2], a.strides[2], b.strides[1]);
  return dense(a) && dense(b) && (!dot || SINTER_MUTANT(attention_over_dot_products));
}

/// Both products; keys as [.., n, k].
bool are_chains(const TensorMeta& q, const TensorMeta& k, const TensorMeta& v) {
  TensorMeta transposed = k, weights = q;
  std::swap(transposed.sizes[1], transposed.sizes[2]);
  std::swap(transposed.strides[1], transposed.strides[2]);
  weights.sizes[2] = k.sizes[1];
  weights.strides = contiguous_strides(weights.sizes);
  return is_chain(q, transposed) && is_chain(weights, v);
}

class Matcher {
 public:
  explicit Matcher(Graph& graph) : graph_(graph), uses_(graph.use_counts()) {}

  bool run() {
    bool changed = false;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const auto v = static_cast<ValueId>(i);
      Found found;
      if (is_product(v) && find(v, found) && are_chains(found.scores, v)) {
        rewrite(v, found);
        changed = true;
      }
    }
    return changed;
  }

 private:
  bool is_product(ValueId v) const {
    const GraphNode& n = graph_[v];
    return !n.dead && !n.is_input() && n.op == Op::bmm && is_floating(n.meta.dtype) && n.numel() > 0;
  }

  /// The value itself, or what a view regroups whole and in order; -1 when anything else uses one of them.
  ValueId only_source(ValueId v, Found& f) const {
    if (uses_[v] != 1 && !SINTER_MUTANT(attention_scores_used_elsewhere)) return -1;
    const GraphNode& n = graph_[v];
    f.between.push_back(v);
    if (!n.is_view()) return v;
    f.between.push_back(n.in[0]);
    const GraphNode& base = graph_[n.in[0]];
    if (!is_plain(n.meta) || !is_plain(base.meta) || n.numel() != base.numel()) return -1;
    return uses_[n.in[0]] == 1 || SINTER_MUTANT(attention_scores_used_elsewhere) ? n.in[0] : -1;
  }

  bool find(ValueId result, Found& f) const {
    f.softmax = only_source(graph_[result].in[0], f);
    if (f.softmax < 0) return false;
    const GraphNode& softmax = graph_[f.softmax];
    if (softmax.is_input() || softmax.op != Op::_softmax || softmax.attr + 1 != softmax.meta.sizes.size()) return false;
    ValueId v = only_source(softmax.in[0], f);
    if (v >= 0) v = past_mask(v, softmax.meta, f);
    if (v >= 0) v = past_scale(v, f);
    f.scores = v;
    if (v < 0 || !is_product(v)) return false;
    // All of them over the same rows: views may have put leading dimensions apart, nothing else.
    const SizeVec &s = graph_[v].meta.sizes, &w = graph_[graph_[result].in[0]].meta.sizes, &x = softmax.meta.sizes;
    return s == w && x.size() >= 2 && x[x.size() - 1] == s[2] && x[x.size() - 2] == s[1] &&
           graph_[v].meta.dtype == softmax.meta.dtype;
  }

  /// A mask of the softmax's shape or one that broadcasts to it.
  bool may_mask(ValueId m, const TensorMeta& whole, ScalarType t) const {
    const TensorMeta& meta = graph_[m].meta;
    if (meta.dtype != t || meta.sizes.size() > whole.sizes.size()) return false;
    for (size_t i = 1; i <= meta.sizes.size(); ++i)
      if (const int64_t d = meta.sizes[meta.sizes.size() - i]; d != 1 && d != whole.sizes[whole.sizes.size() - i]) return false;
    return true;
  }

  ValueId past_mask(ValueId v, const TensorMeta& whole, Found& f) const {
    const GraphNode& n = graph_[v];
    const bool pointwise = !n.is_input() && n.flags == 0 && n.compute == whole.dtype && n.meta.dtype == whole.dtype;
    if (!pointwise || !(n.meta.sizes == whole.sizes)) return v;
    if (n.op == Op::add && n.in.size() == 2 && graph_[n.in[0]].meta.sizes == whole.sizes &&
        may_mask(n.in[1], whole, whole.dtype)) {
      const ValueId scores = only_source(n.in[0], f);
      if (scores < 0) return v;
      f.mask = n.in[1];
      return scores;
    }
    if (n.op == Op::where && graph_[n.in[2]].meta.sizes == whole.sizes && may_mask(n.in[0], whole, kBool)) {
      const GraphNode& fill = graph_[n.in[1]];
      const ValueId scores = only_source(n.in[2], f);
      if (scores < 0 || fill.is_input() || fill.op != Op::full || fill.numel() != 1 || fill.meta.dtype != whole.dtype) return v;
      f.mask = n.in[0];
      f.fill = fill.scalars[0];
      f.attr |= kAttentionFills;
      return scores;
    }
    return v;
  }

  ValueId past_scale(ValueId v, Found& f) const {
    const GraphNode& n = graph_[v];
    if (n.is_input() || (n.op != Op::mul && n.op != Op::div) || n.flags != kScalarRhs || n.compute != n.meta.dtype) return v;
    const ValueId scores = only_source(n.in[0], f);
    if (scores < 0 || graph_[n.in[0]].meta.dtype != n.meta.dtype) return v;
    f.scale = n.scalars[0];
    if (n.op == Op::div) f.attr |= kAttentionDivides;
    return scores;
  }

  bool are_chains(ValueId scores, ValueId result) const {
    const auto meta = [&](ValueId product, size_t i) -> const TensorMeta& { return graph_[graph_[product].in[i]].meta; };
    return is_chain(meta(scores, 0), meta(scores, 1)) && is_chain(meta(result, 0), meta(result, 1));
  }

  /// The product's node becomes the operator; that of the scores, which nothing needs any more, the view of the keys.
  void rewrite(ValueId result, const Found& f) {
    for (ValueId v : f.between) graph_[v].dead = true;
    GraphNode& product = graph_[result];
    GraphNode& scores = graph_[f.scores];
    const TensorMeta whole = graph_[f.softmax].meta;
    const ValueId q = scores.in[0], transposed = scores.in[1];
    GraphNode keys;
    keys.op = Op::alias;
    keys.meta = graph_[transposed].meta;
    std::swap(keys.meta.sizes[1], keys.meta.sizes[2]);
    std::swap(keys.meta.strides[1], keys.meta.strides[2]);
    if (!graph_[transposed].is_view()) keys.meta.offset = 0;
    keys.in = {graph_[transposed].is_view() ? graph_[transposed].in[0] : transposed};
    keys.event = scores.event;
    keys.loc = scores.loc;
    scores = std::move(keys);  // not dead any more
    product.op = Op::scaled_dot_product_attention;
    product.attr = f.attr;
    product.in = {q, f.scores, product.in[1]};
    product.scalars = {f.scale};
    if (f.mask >= 0) {
      product.in.push_back(f.mask);
      if (f.attr & kAttentionFills) product.scalars.push_back(f.fill);
      if (whole.sizes.size() != 3)
        for (size_t d = 0; d + 2 < whole.sizes.size(); ++d) product.ints.push_back(whole.sizes[d]);
    }
  }

  Graph& graph_;
  std::vector<int32_t> uses_;
};

}  // namespace

bool fused_attention_fits(const Graph& graph) {
  for (const GraphNode& n : graph.nodes) {
    if (n.dead || n.is_input() || n.op != Op::scaled_dot_product_attention || !(n.attr & kAttentionPlain)) continue;
    if (!are_chains(graph[n.in[0]].meta, graph[n.in[1]].meta, graph[n.in[2]].meta) && !SINTER_MUTANT(attention_fits_any_size))
      return false;
  }
  return true;
}

bool fuse_attention(Graph& graph) {
  bool softmax = false;
  for (const GraphNode& n : graph.nodes) softmax |= !n.dead && !n.is_input() && n.op == Op::_softmax;
  return softmax && Matcher(graph).run();
}

}  // namespace sinter

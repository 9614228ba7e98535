#include "lower.h"
#include <algorithm>
#include <bit>
#include "../../../runtime/kernels/reduce_order.h"
#include "../../../runtime/mutants.h"

namespace sinter::fuse {

using codegen::LoopKind;
using codegen::LoopMode;
using codegen::LoopNode;
using codegen::LoopOperand;

namespace {

constexpr int kLanes = kReduceLanes;  // rows up to this length need one visit of each lane
constexpr int64_t kMinUnrolledRows = 4;
constexpr int64_t kMaxUnrolledLength = 12;  // at most kLanes; nearly full vectors gain little
constexpr int64_t kMaxUnrolledNodes = 192;  // keeps code and compile time small

uint64_t constant_bits(Scalar s, ScalarType t) {
  switch (t) {
    case ScalarType::Bool:
      return s.to<bool>();
    case ScalarType::Long:
      return static_cast<uint64_t>(s.to<int64_t>());
    case ScalarType::Float:
      return std::bit_cast<uint32_t>(s.to<float>());
    default:
      return std::bit_cast<uint64_t>(s.to<double>());
  }
}

class Lowering {
 public:
  Lowering(const Graph& graph, const Plan& plan, int32_t group, Lowered& out)
      : graph_(graph), plan_(plan), group_(group), g_(plan.groups[group]), out_(out) {}

  bool run() {
    choose_unrolling();
    for (ValueId v : g_.nodes) {
      if (!plan_.stored[v]) continue;
      const DimMap& map = plan_.map_of[v];
      for (int r = 0; r < copies(map); ++r) store(v, r, value(v, map, r));
    }
    return ok_ && !out_.spec.stores.empty() && finish();
  }

 private:
  struct Done {
    ValueId value;
    DimMap map;
    int r;
    int32_t node;
  };
  struct Argument {
    std::array<int64_t, kMaxFusedRank> strides{};
  };

  /// Rows of a few elements leave most lanes idle. They become a pointwise kernel over the rows instead, in which every
  /// value along the row is written out: element r of a row is its own expression.
  void choose_unrolling() {
    if (g_.mode != LoopMode::Row || g_.reduced.size() != 1) return;
    int64_t rows = 1;
    for (size_t s = 0; s < g_.space.size(); ++s)
      if (static_cast<int64_t>(s) != g_.reduced[0]) rows *= g_.space[s];
    const int64_t length = g_.space[g_.reduced[0]];
    if (rows < kMinUnrolledRows || length > kMaxUnrolledLength ||
        length * static_cast<int64_t>(g_.nodes.size()) > kMaxUnrolledNodes)
      return;
    row_dim_ = static_cast<int>(g_.reduced[0]);
    row_length_ = static_cast<int>(length);
  }
  bool along_row(const DimMap& map) const {
    return row_dim_ >= 0 && std::find(map.begin(), map.end(), static_cast<int8_t>(row_dim_)) != map.end();
  }
  /// Expressions a value at this place stands for: one per element of the row, or one.
  int copies(const DimMap& map) const { return along_row(map) ? row_length_ : 1; }

  int32_t add(LoopNode n, ValueId of) {
    if (n.kind != LoopKind::Compute && n.kind != LoopKind::Reduce)
      for (size_t i = 0; i < out_.spec.nodes.size(); ++i)
        if (out_.spec.nodes[i] == n) return static_cast<int32_t>(i);
    out_.spec.nodes.push_back(n);
    out_.node_values.push_back(of);
    return static_cast<int32_t>(out_.spec.nodes.size()) - 1;
  }

  int32_t cast(int32_t node, ScalarType to, ValueId of) {
    if (out_.spec.nodes[node].dtype == to) return node;
    LoopNode n;
    n.kind = LoopKind::Cast;
    n.dtype = to;
    n.n_in = 1;
    n.in[0] = node;
    return add(n, of);
  }

  int32_t scalar(const ScalarRef& s, ScalarType t, ValueId of) {
    LoopNode n;
    n.dtype = t;
    if (s.input < 0) {
      n.kind = LoopKind::Constant;
      n.bits = constant_bits(s.constant, t);
      const int32_t node = add(n, of);
      if (s.constant.type() == ScalarType::Long) out_.integers.emplace_back(node, s.constant.to_int64());
      return node;
    }
    n.kind = LoopKind::Scalar;
    size_t i = 0;
    while (i < out_.scalars.size() && (out_.scalars[i] != s.input || out_.spec.scalars[i] != t)) ++i;
    if (i == out_.scalars.size()) {
      out_.scalars.push_back(s.input);
      out_.spec.scalars.push_back(t);
    }
    n.index = static_cast<int32_t>(i);
    return add(n, of);
  }

  /// Strides in the space; in unrolled rows the step to element r goes to `offset`.
  Argument argument(const TensorMeta& meta, const DimMap& place, int r, int64_t& offset) const {
    Argument a;
    for (size_t d = 0; d < meta.sizes.size(); ++d) {
      if (place[d] < 0) continue;
      if (place[d] == row_dim_) offset += r * meta.strides[d];
      else a.strides[place[d]] += meta.strides[d];
    }
    return a;
  }

  int32_t operand_index(const Argument& a, const Binding& b, ScalarType t) {
    if (!b.output)
      for (size_t i = 0; i < args_.size(); ++i)
        if (!out_.operands[i].output && out_.operands[i].base == b.base &&
            (out_.operands[i].offset == b.offset || SINTER_MUTANT(loads_shared_by_strides)) &&
            (args_[i].strides == a.strides || SINTER_MUTANT(loads_shared_by_address)))
          return static_cast<int32_t>(i);
    args_.push_back(a);
    out_.operands.push_back(b);
    LoopOperand o;
    o.dtype = t;
    o.output = b.output;
    out_.spec.operands.push_back(o);
    return static_cast<int32_t>(args_.size()) - 1;
  }

  int32_t load(ValueId v, const DimMap& place, int r) {
    const GraphNode& n = graph_[v];
    LoopNode node;
    node.kind = LoopKind::Load;
    node.dtype = n.meta.dtype;
    Binding b{base_of(graph_, v), n.is_view() ? n.meta.offset : 0, false};
    const Argument a = argument(n.meta, place, r, b.offset);
    node.index = operand_index(a, b, n.meta.dtype);
    return add(node, v);
  }

  void store(ValueId v, int r, int32_t node) {
    const GraphNode& n = graph_[v];
    Binding b{v, 0, true};
    const Argument a = argument(n.meta, plan_.map_of[v], r, b.offset);
    out_.spec.stores.push_back({node, operand_index(a, b, n.meta.dtype)});
  }

  int32_t operand(ValueId user, const DimMap& user_map, ValueId v, int r) {
    const DimMap place = operand_place(graph_, user, user_map, v);
    const ValueId base = base_of(graph_, v);
    const int32_t g = plan_.group_of[base];
    if (g < 0 || (g != group_ && plan_.stored[base])) return load(v, place, r);
    DimMap below;
    if (!base_place(graph_, v, place, below)) {
      ok_ = false;
      return load(v, place, r);
    }
    return value(base, below, r);
  }

  int32_t value(ValueId v, const DimMap& map, int r) {
    if (!along_row(map)) r = 0;
    for (const Done& d : done_)
      if (d.value == v && d.r == r && d.map == map) return d.node;
    const int32_t node = compute(v, map, r);
    done_.push_back({v, map, r, node});
    return node;
  }

  int32_t compute(ValueId v, const DimMap& map, int r) {
    const GraphNode& n = graph_[v];
    switch (op_info(n.op).kind) {
      case OpKind::Pointwise:
        return cast(pointwise(v, map, r), n.meta.dtype, v);
      case OpKind::Reduce:
        return row_dim_ >= 0 ? unrolled_reduce(v) : reduce(v);
      case OpKind::Creation:
        return n.op == Op::full ? scalar(n.scalars[0], n.meta.dtype, v) : counting(v, map[0], r);
      default:
        return cast(operand(v, map, n.in[0], r), n.meta.dtype, v);  // to, clone
    }
  }

  int32_t counting(ValueId v, int8_t dim, int r) {
    if (dim < 0 || dim == row_dim_) return scalar({-1, Scalar(static_cast<int64_t>(r))}, ScalarType::Long, v);
    LoopNode node;
    node.kind = LoopKind::Iota;
    node.dtype = ScalarType::Long;
    node.index = dim;
    iota_dims_ |= 1u << dim;
    return add(node, v);
  }

  int32_t reduce(ValueId v) {
    const GraphNode& n = graph_[v];
    LoopNode node;
    node.kind = LoopKind::Reduce;
    node.dtype = n.meta.dtype;
    node.reduce = n.op == Op::sum    ? codegen::ReduceKind::Sum
                  : n.op == Op::amax ? codegen::ReduceKind::Max
                                     : codegen::ReduceKind::Min;
    node.n_in = 1;
    node.in[0] = cast(operand(v, plan_.operand_map[v], n.in[0], 0), n.meta.dtype, v);
    return add(node, v);
  }

  int32_t combine(Op op, ScalarType t, int32_t a, int32_t b, ValueId of) {
    LoopNode node;
    node.kind = LoopKind::Compute;
    node.op = op;
    node.dtype = t;
    node.n_in = 2;
    node.in[0] = a;
    node.in[1] = b;
    return add(node, of);
  }

  /// The order of reduce_order.h with one element per lane: each added to 0, then the tree; lanes without an element
  /// change nothing. Of equal values maximum gives its second operand, so the running value goes there.
  int32_t unrolled_reduce(ValueId v) {
    const GraphNode& n = graph_[v];
    const ScalarType t = n.meta.dtype;
    int32_t lane[kLanes];
    for (int r = 0; r < row_length_; ++r) {
      lane[r] = cast(operand(v, plan_.operand_map[v], n.in[0], r), t, v);
      if (n.op == Op::sum && is_floating(t) && !SINTER_MUTANT(short_sum_without_zero))
        lane[r] = combine(Op::add, t, scalar({-1, Scalar(0.0)}, t, v), lane[r], v);
    }
    for (int s = kLanes / 2; s > 0; s /= 2)
      for (int l = 0; l < s && l + s < row_length_; ++l) {
        if (n.op == Op::sum) lane[l] = combine(Op::add, t, lane[l], lane[l + s], v);
        else
          lane[l] =
              combine(n.op == Op::amax ? Op::maximum : Op::minimum, t, lane[SINTER_MUTANT(short_extreme_swapped) ? l : l + s],
                      lane[SINTER_MUTANT(short_extreme_swapped) ? l + s : l], v);
      }
    return lane[0];
  }

  int32_t pointwise(ValueId v, const DimMap& map, int r) {
    const GraphNode& n = graph_[v];
    const Promotion promotion = op_info(n.op).promotion;
    const bool to_bool = promotion == Promotion::Compare || promotion == Promotion::Logical;
    const ScalarType compute = promotion == Promotion::Logical ? ScalarType::Bool : n.compute;
    LoopNode node;
    node.kind = LoopKind::Compute;
    node.op = n.op;
    node.dtype = to_bool ? ScalarType::Bool : compute;
    if (n.flags & kAttrExponent) node.bits = n.attr;
    int32_t in[8];
    int count = 0;
    size_t next_scalar = 0;
    if ((n.flags & kScalarLhs) && !SINTER_MUTANT(kernel_scalar_always_right))
      in[count++] = scalar(n.scalars[next_scalar++], compute, v);
    for (size_t i = 0; i < n.in.size(); ++i) {
      const ScalarType want = n.op == Op::where && i == 0 ? ScalarType::Bool : compute;
      in[count++] = cast(operand(v, map, n.in[i], r), want, v);
    }
    while (next_scalar < n.scalars.size() && count < 8) in[count++] = scalar(n.scalars[next_scalar++], compute, v);
    if (count > 4) ok_ = false;
    node.n_in = static_cast<int8_t>(std::min(count, 4));
    std::copy_n(in, node.n_in, node.in);
    return add(node, v);
  }

  // -- the space becomes the spec's dimensions

  bool mergeable(int a, int b) const {
    if ((iota_dims_ >> a & 1) || (iota_dims_ >> b & 1)) return false;
    return std::all_of(args_.begin(), args_.end(), [&](const Argument& x) {
      return x.strides[a] == x.strides[b] * sizes_[b] || SINTER_MUTANT(dims_joined_for_all);
    });
  }

  /// Joins neighbours that every argument walks as one; the joined dimension is the inner one.
  void collapse(std::vector<int>& dims) {
    for (size_t i = 1; i < dims.size();) {
      if (!mergeable(dims[i - 1], dims[i])) {
        ++i;
        continue;
      }
      sizes_[dims[i]] *= sizes_[dims[i - 1]];
      dims.erase(dims.begin() + static_cast<long>(i) - 1);
    }
  }

  /// The argument whose memory order the loops follow: an output that covers the space, else the widest argument.
  const Argument& guide() const {
    size_t best = 0;
    int most = -1;
    for (size_t i = 0; i < args_.size(); ++i) {
      int score = out_.operands[i].output && g_.mode != LoopMode::Column;
      for (size_t s = 0; s < g_.space.size(); ++s) score += 2 * (g_.space[s] != 1 && args_[i].strides[s] != 0);
      if (score > most) {
        most = score;
        best = i;
      }
    }
    return args_[best];
  }

  bool finish() {
    std::vector<int> kept, reduced;
    for (size_t s = 0; s < g_.space.size(); ++s) {
      sizes_[s] = g_.space[s];
      if (sizes_[s] != 1 && std::find(g_.reduced.begin(), g_.reduced.end(), static_cast<int64_t>(s)) == g_.reduced.end())
        kept.push_back(static_cast<int>(s));
    }
    for (int64_t s : g_.reduced)
      if (s != row_dim_) reduced.push_back(static_cast<int>(s));
    const LoopMode mode = row_dim_ >= 0 ? LoopMode::Pointwise : g_.mode;
    const Argument& order = guide();
    std::stable_sort(kept.begin(), kept.end(), [&](int a, int b) { return order.strides[a] > order.strides[b]; });
    collapse(kept);
    collapse(reduced);
    if (reduced.size() > 1 && !SINTER_MUTANT(split_reduction_fused)) return false;
    std::vector<int> dims = kept;
    if (mode == LoopMode::Row) dims.push_back(reduced[0]);
    if (mode == LoopMode::Column) dims.insert(dims.end() - 1, reduced[0]);
    out_.spec.mode = mode;
    for (int s : dims) out_.spec.sizes.push_back(sizes_[s]);
    for (size_t i = 0; i < args_.size(); ++i)
      for (int s : dims) out_.spec.operands[i].strides.push_back(args_[i].strides[s]);
    for (LoopNode& n : out_.spec.nodes)
      if (n.kind == LoopKind::Iota) n.index = static_cast<int32_t>(std::find(dims.begin(), dims.end(), n.index) - dims.begin());
    if (dims.empty()) {  // one element
      out_.spec.sizes = {1};
      for (auto& o : out_.spec.operands) o.strides = {1};
    }
    return true;
  }

  const Graph& graph_;
  const Plan& plan_;
  int32_t group_;
  const Group& g_;
  Lowered& out_;
  std::vector<Argument> args_;
  std::vector<Done> done_;
  std::array<int64_t, kMaxFusedRank> sizes_{};
  uint32_t iota_dims_ = 0;
  int row_dim_ = -1, row_length_ = 1;  // the dimension of unrolled rows
  bool ok_ = true;
};

}  // namespace

bool lower_group(const Graph& graph, const Plan& plan, int32_t group, Lowered& out) {
  return Lowering(graph, plan, group, out).run();
}

}  // namespace sinter::fuse

#include "build.h"
#include "../../runtime/mutants.h"
#include "geometry.h"

namespace sinter {

namespace {

/// Keeps, for every root slot, the value its storage would hold now.
class Builder {
 public:
  Builder(const Region& region, Graph& graph) : region_(region), graph_(graph) {}

  bool run() {
    const size_t n = region_.slots.size();
    current_.assign(n, -1);
    views_.assign(n, {});
    maker_.assign(n, -1);
    written_.assign(n, false);
    graph_.name = region_.name;
    graph_.scalars = region_.scalars;
    graph_.nodes.reserve(region_.inputs.size() + region_.events.size() * 2);
    for (size_t i = 0; i < region_.inputs.size(); ++i)
      if (!add_input(static_cast<int32_t>(i))) return false;
    for (size_t e = 0; e < region_.events.size(); ++e)
      if (!add_event(static_cast<int32_t>(e))) return false;
    return add_outputs();
  }

 private:
  struct CachedView {
    ValueId base = -1, node = -1;
  };

  const RegionSlot& slot(int32_t s) const { return region_.slots[s]; }
  int32_t root_of(int32_t s) const { return slot(s).root < 0 ? s : slot(s).root; }

  bool add_input(int32_t i) {
    const int32_t s = region_.inputs[i];
    if (root_of(s) != s) return false;
    GraphNode n;
    n.kind = GraphNode::Kind::Input;
    n.meta = slot(s).meta;
    n.meta.offset = 0;
    n.input = i;
    current_[s] = graph_.add(std::move(n));
    return true;
  }

  /// Geometry of a slot relative to the first element of its root.
  TensorMeta placed(int32_t s) const {
    TensorMeta m = slot(s).meta;
    m.offset -= slot(root_of(s)).meta.offset;
    return m;
  }

  /// The value an operand has now; a view node when it is another geometry of its root. -1 when it was never made.
  ValueId read(int32_t s) {
    const int32_t root = root_of(s);
    const ValueId base = current_[root];
    if (s == root || base < 0) return base;
    if (views_[s].base == base || (views_[s].base >= 0 && SINTER_MUTANT(view_reads_old_value))) return views_[s].node;
    const TensorMeta meta = placed(s);
    TensorMeta whole = slot(root).meta;
    whole.offset = 0;
    ValueId v = base;
    if (!same_geometry(meta, whole)) {
      GraphNode n;
      n.op = Op::alias;
      if (maker_[s] >= 0) {
        const RegionEvent& e = region_.events[maker_[s]];
        if (root_of(e.in[0]) == e.in[0]) {  // one step from the root: keep the operator's own name
          n.op = e.op;
          n.attr = e.attr;
          n.ints = e.ints;
        }
        n.event = maker_[s];
        n.loc = e.loc;
      }
      n.in = {base};
      n.meta = meta;
      v = graph_.add(std::move(n));
    }
    views_[s] = {base, v};
    return v;
  }

  bool add_event(int32_t index) {
    const RegionEvent& e = region_.events[index];
    const bool inplace = (e.flags & kInplace) || e.op == Op::copy_ || e.op == Op::fill_;
    if (is_view(e.op) && !inplace) {
      if (e.out < 0 || e.in.empty() || root_of(e.out) != root_of(e.in[0])) return false;
      maker_[e.out] = index;
      views_[e.out] = {};
      return true;
    }
    if (inplace && region_.overlapping_writes && !SINTER_MUTANT(overlapping_inputs_compiled)) return false;
    GraphNode n;
    n.op = e.op;
    n.flags = static_cast<uint8_t>(e.flags & ~kInplace);
    n.attr = e.attr;
    n.ints = e.ints;
    for (int k = 0; k < e.n_scalars; ++k) n.scalars.push_back({e.first_scalar + k, Scalar()});
    n.compute = e.compute;
    n.event = index;
    n.loc = e.loc;
    n.in.reserve(e.in.size());
    for (int32_t s : e.in) {
      const ValueId v = s < 0 ? -1 : read(s);
      if (s >= 0 && v < 0) return false;
      n.in.push_back(v);
    }
    if (inplace) return add_write(e, std::move(n));
    if (e.out < 0 || root_of(e.out) != e.out) return false;
    n.meta = slot(e.out).meta;
    n.meta.offset = 0;
    current_[e.out] = graph_.add(std::move(n));
    return true;
  }

  /// An in-place call makes a new value of the whole root.
  bool add_write(const RegionEvent& e, GraphNode n) {
    if (e.in.empty() || e.in[0] < 0) return false;
    const int32_t s = e.in[0], root = root_of(s);
    const TensorMeta meta = placed(s);
    TensorMeta whole = slot(root).meta;
    whole.offset = 0;
    const bool covers = same_geometry(meta, whole);
    const bool reshaped = is_plain(meta) && is_plain(whole) && numel_of(meta.sizes) == numel_of(whole.sizes);
    if (!covers && !reshaped && !SINTER_MUTANT(partial_write_compiled)) return false;
    // What is left where elements are written several times depends on eager's order, so eager it is.
    if (may_repeat(whole.sizes, whole.strides)) return false;
    // Reading other elements of the memory it writes: what eager gives depends on its order, so eager it is.
    const bool elementwise = op_info(e.op).kind != OpKind::Index;
    for (size_t i = 1; i < e.in.size(); ++i)
      if (e.in[i] >= 0 && root_of(e.in[i]) == root && !(elementwise && same_geometry(placed(e.in[i]), meta)) &&
          !SINTER_MUTANT(write_over_own_operand_compiled))
        return false;
    n.meta = covers ? whole : meta;
    if (e.op == Op::copy_) make_copy(n, meta);
    if (e.op == Op::fill_) {
      n.op = Op::full;
      n.attr = static_cast<uint64_t>(meta.dtype);
      n.in.clear();
      n.ints = IntArrayRef(meta.sizes).vec();
      n.compute = ScalarType::Undefined;
    }
    const Loc loc = n.loc;
    ValueId v = graph_.add(std::move(n));
    if (!covers) {  // back to the root's shape
      GraphNode back;
      back.op = Op::view;
      back.in = {v};
      back.ints = IntArrayRef(whole.sizes).vec();
      back.meta = whole;
      back.loc = loc;
      v = graph_.add(std::move(back));
    }
    current_[root] = v;
    written_[root] = !SINTER_MUTANT(write_back_forgotten);
    return true;
  }

  /// self.copy_(src) = src broadcast to self's sizes, converted.
  void make_copy(GraphNode& n, const TensorMeta& self) {
    ValueId src = n.in[1];
    if (!(graph_[src].meta.sizes == self.sizes)) {
      GraphNode wide;
      wide.op = Op::expand;
      wide.meta.dtype = graph_[src].meta.dtype;
      wide.meta.sizes = self.sizes;
      wide.meta.strides = expanded_strides(graph_[src].meta, self.sizes);
      wide.meta.offset = graph_[src].meta.offset;
      wide.ints = IntArrayRef(self.sizes).vec();
      wide.in = {graph_[src].is_view() ? graph_[src].in[0] : src};
      wide.loc = n.loc;
      wide.event = n.event;
      src = graph_.add(std::move(wide));
    }
    n.op = Op::to;
    n.attr = static_cast<uint64_t>(self.dtype);
    n.in = {src};
    n.compute = ScalarType::Undefined;
  }

  void add_output(int32_t s, int32_t input) {
    GraphOutput out{current_[s], s, input, slot(s).meta};
    out.meta.offset = 0;
    graph_.outputs.push_back(std::move(out));
  }

  bool add_outputs() {
    for (int32_t s : region_.live) {
      if (current_[s] < 0) return false;
      add_output(s, -1);
    }
    for (size_t i = 0; i < region_.inputs.size(); ++i) {
      const int32_t s = region_.inputs[i];
      if (written_[s]) add_output(s, static_cast<int32_t>(i));
    }
    return true;
  }

  const Region& region_;
  Graph& graph_;
  std::vector<ValueId> current_;
  std::vector<CachedView> views_;
  std::vector<int32_t> maker_;
  std::vector<bool> written_;
};

}  // namespace

bool build_graph(const Region& region, Graph& graph) { return Builder(region, graph).run(); }

}  // namespace sinter

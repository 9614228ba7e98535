#include <algorithm>
#include "../../../runtime/mutants.h"
#include "../../../runtime/stress.h"
#include "fusion.h"

namespace sinter::fuse {

using codegen::LoopMode;

namespace {

/// Puts nodes into groups one after another; a node joins the groups of its operands where that is possible.
class Grouping {
 public:
  Grouping(const Graph& graph, const std::vector<bool>& keep_eager, Plan& plan)
      : graph_(graph), keep_eager_(keep_eager), plan_(plan) {
    const size_t n = graph.nodes.size();
    plan_.group_of.assign(n, -1);
    plan_.map_of.assign(n, kNoDims);
    plan_.operand_map.assign(n, kNoDims);
    words_ = (n + 63) / 64;
  }

  void run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const auto v = static_cast<ValueId>(i);
      if (graph_[v].dead || graph_[v].is_input() || graph_[v].is_view()) continue;
      if (keep_eager_[v] || !fusible(graph_, v)) add_eager(v);
      else if (!stress().fuse || !join(v)) start(v);
    }
  }

 private:
  struct Fit {
    DimMap map = kNoDims, operand_map = kNoDims;
    LoopMode mode = LoopMode::Pointwise;
    SizeVec reduced;
  };

  Group& group(int32_t g) { return plan_.groups[g]; }
  int32_t group_of_operand(ValueId operand) const { return operand < 0 ? -1 : plan_.group_of[base_of(graph_, operand)]; }
  static bool contains(const SizeVec& list, int64_t v) { return std::find(list.begin(), list.end(), v) != list.end(); }

  // -- who depends on whom: bit h of needs_[g] says that group g needs group h, directly or not
  bool needs(int32_t g, int32_t h) const { return needs_[g][h >> 6] >> (h & 63) & 1; }
  void unite(int32_t g, int32_t h) {
    for (size_t w = 0; w < words_; ++w) needs_[g][w] |= needs_[h][w];
  }
  void add_need(int32_t g, int32_t h) {
    if (g == h || needs(g, h)) return;
    needs_[g][h >> 6] |= 1ull << (h & 63);
    unite(g, h);
    needed_[h] = true;
    if (!needed_[g]) return;
    for (size_t k = 0; k < needs_.size(); ++k)
      if (needs(static_cast<int32_t>(k), g)) unite(static_cast<int32_t>(k), g);
  }
  int32_t new_group() {
    plan_.groups.emplace_back();
    needs_.emplace_back(words_, 0);
    needed_.push_back(false);
    return static_cast<int32_t>(plan_.groups.size()) - 1;
  }
  void place(ValueId v, int32_t g) {
    plan_.group_of[v] = g;
    group(g).nodes.push_back(v);
    for (ValueId operand : graph_[v].in)
      if (const int32_t h = group_of_operand(operand); h >= 0) add_need(g, h);
  }

  void add_eager(ValueId v) {
    const int32_t g = new_group();
    group(g).eager = true;
    place(v, g);
  }

  /// A group of its own: the node's dimensions (a reduction's operand's) are the space.
  void start(ValueId v) {
    const int32_t g = new_group();
    const GraphNode& n = graph_[v];
    const SizeVec& sizes = is_reduction(n) ? graph_[n.in[0]].meta.sizes : n.meta.sizes;
    group(g).space = sizes;
    DimMap own = kNoDims;
    for (size_t d = 0; d < sizes.size(); ++d)
      if (sizes[d] != 1) own[d] = static_cast<int8_t>(d);
    Fit fit;
    fit.map = own;
    if (is_reduction(n)) fit_reduction(v, own, fit);
    accept(v, g, fit);
  }

  void accept(ValueId v, int32_t g, const Fit& fit) {
    plan_.map_of[v] = fit.map;
    if (is_reduction(graph_[v])) {
      plan_.operand_map[v] = fit.operand_map;
      group(g).mode = fit.mode;
      group(g).reduced = fit.reduced;
    }
    place(v, g);
  }

  /// Map of a reduction from the place of its operand: which space dimensions go, and in which mode.
  void fit_reduction(ValueId v, const DimMap& place, Fit& fit) const {
    const GraphNode& n = graph_[v];
    const SizeVec& sizes = graph_[n.in[0]].meta.sizes;
    const uint32_t dims = reduce_dims(n.attr);
    const bool keep = reduce_keepdim(n.attr);
    fit.map = kNoDims;
    fit.operand_map = place;
    int64_t inner = 1;
    size_t to = 0;
    for (size_t d = 0; d < sizes.size(); ++d) {
      const bool reduced = dims == 0 || (dims >> d & 1);
      if (reduced && sizes[d] != 1) {
        fit.reduced.push_back(place[d]);
        inner = 1;
      }
      if (!reduced) inner *= sizes[d];
      if (!reduced) fit.map[to++] = place[d];
      else if (keep) ++to;
    }
    fit.mode = inner == 1 ? LoopMode::Row : LoopMode::Column;
  }

  /// How many of the space's dimensions (size above 1) a map reaches; reduced ones counted apart.
  void coverage(const Group& g, const DimMap& map, int& kept, int& reduced) const {
    kept = reduced = 0;
    for (int8_t s : map)
      if (s >= 0) ++(contains(g.reduced, s) ? reduced : kept);
  }
  int kept_dims(const Group& g) const {
    int n = 0;
    for (size_t s = 0; s < g.space.size(); ++s) n += g.space[s] != 1 && !contains(g.reduced, static_cast<int64_t>(s));
    return n;
  }
  /// Whether the value varies along the reduced dimensions / is one per row or column.
  bool is_full(const Group& g, const DimMap& map) const {
    int kept, reduced;
    coverage(g, map, kept, reduced);
    return reduced == static_cast<int>(g.reduced.size());
  }
  bool covers(const Group& g, const DimMap& map) const {
    int kept, reduced;
    coverage(g, map, kept, reduced);
    return (kept == kept_dims(g) || SINTER_MUTANT(fused_without_covering)) &&
           (reduced == 0 || reduced == static_cast<int>(g.reduced.size()));
  }
  /// In Column kernels what depends on a reduction is one value per column.
  bool after_reduction(int32_t g, ValueId v) const {
    const Group& group = plan_.groups[g];
    return is_reduction(graph_[v]) || (!group.reduced.empty() && !is_full(group, plan_.map_of[v]));
  }

  /// Where `v` would lie in the space of g. False when an operand in g cannot be followed by index.
  bool fit(ValueId v, int32_t g, Fit& out) const {
    const GraphNode& n = graph_[v];
    const Group& to = plan_.groups[g];
    if (static_cast<int>(to.nodes.size()) >= kMaxGroupNodes) return false;
    for (ValueId operand : n.in)  // running g before its new operands must be possible
      if (const int32_t h = group_of_operand(operand); h >= 0 && h != g && needs(h, g) && !SINTER_MUTANT(groups_in_a_circle))
        return false;
    if (is_reduction(n)) return fit_reduction_into(v, g, out);
    const size_t rank = n.meta.sizes.size();
    DimMap map = kNoDims;
    for (ValueId operand : n.in)
      if (group_of_operand(operand) == g && !add_operand_dims(v, operand, map)) return false;
    // What no operand fixes may run along the reduced dimensions, last to last.
    size_t free = to.reduced.size();
    for (size_t d = rank; d-- > 0;) {
      if (n.meta.sizes[d] == 1 || map[d] >= 0) continue;
      if (free == 0 || to.space[to.reduced[free - 1]] != n.meta.sizes[d]) return false;
      map[d] = static_cast<int8_t>(to.reduced[--free]);
    }
    if (has_duplicates(map) || !covers(to, map)) return false;
    if (to.mode == LoopMode::Column && is_full(to, map))
      for (ValueId operand : n.in)
        if (group_of_operand(operand) == g && after_reduction(g, base_of(graph_, operand))) return false;
    out.map = map;
    return true;
  }

  bool has_duplicates(const DimMap& map) const {
    uint32_t seen = 0;
    for (int8_t s : map) {
      if (s < 0) continue;
      if (seen >> s & 1) return true;
      seen |= 1u << s;
    }
    return false;
  }

  /// The dimensions of `v` that its operand (in the same group) fixes.
  bool add_operand_dims(ValueId v, ValueId operand, DimMap& map) const {
    DimMap place;
    if (!place_in_group(operand, place)) return false;
    const SizeVec &from = graph_[operand].meta.sizes, &to = graph_[v].meta.sizes;
    const size_t shift = to.size() - from.size();
    for (size_t d = 0; d < from.size(); ++d) {
      if (from[d] == 1 || place[d] < 0) continue;
      if (map[d + shift] >= 0 && map[d + shift] != place[d] && !SINTER_MUTANT(operand_at_another_index)) return false;
      map[d + shift] = place[d];
    }
    return true;
  }

  /// Place of an operand whose base is in a group, from the place of the base.
  bool place_in_group(ValueId operand, DimMap& place) const {
    const ValueId base = base_of(graph_, operand);
    place = plan_.map_of[base];
    if (base == operand) return true;
    DimMap dims = kNoDims, unused;
    for (size_t d = 0; d < graph_[operand].meta.sizes.size(); ++d) dims[d] = static_cast<int8_t>(d);
    if (!base_place(graph_, operand, dims, unused)) return false;
    place = kNoDims;  // unused[k] = the view dimension that walks base dimension k
    for (size_t k = 0; k < graph_[base].meta.sizes.size(); ++k)
      if (unused[k] >= 0) place[unused[k]] = plan_.map_of[base][k];
    return true;
  }

  bool fit_reduction_into(ValueId v, int32_t g, Fit& out) const {
    const ValueId operand = graph_[v].in[0];
    const Group& to = plan_.groups[g];
    DimMap place;
    if (!place_in_group(operand, place)) return false;
    for (size_t d = 0; d < graph_[operand].meta.sizes.size(); ++d)
      if (graph_[operand].meta.sizes[d] != 1 && place[d] < 0) return false;  // repeats along a dimension
    if (!covers(to, place) || !is_full(to, place)) return false;
    fit_reduction(v, place, out);
    return to.mode == LoopMode::Pointwise || (to.mode == out.mode && to.reduced == out.reduced);
  }

  bool join(ValueId v) {
    std::vector<int32_t> candidates;
    for (ValueId operand : graph_[v].in) {
      const int32_t g = group_of_operand(operand);
      if (g >= 0 && !group(g).eager && std::find(candidates.begin(), candidates.end(), g) == candidates.end())
        candidates.push_back(g);
    }
    // Reducing groups first: others can move into them, not the other way round.
    std::stable_sort(candidates.begin(), candidates.end(), [&](int32_t a, int32_t b) {
      return (group(a).mode != LoopMode::Pointwise) > (group(b).mode != LoopMode::Pointwise);
    });
    for (size_t i = 0; i < candidates.size(); ++i) {
      Fit f;
      if (!fit(v, candidates[i], f)) continue;
      accept(v, candidates[i], f);
      for (size_t k = 0; k < candidates.size(); ++k)
        if (k != i) merge(candidates[i], candidates[k], v);
      return true;
    }
    return false;
  }

  /// Moves group `from`, of which `v` (in `into`) reads values, into `into` when their spaces agree.
  void merge(int32_t into, int32_t from, ValueId v) {
    const Group &a = group(into), &b = group(from);
    if (static_cast<int>(a.nodes.size() + b.nodes.size()) > kMaxGroupNodes) return;
    for (int32_t h = 0; h < static_cast<int32_t>(plan_.groups.size()); ++h)
      if (h != into && h != from && ((needs(h, from) && needs(into, h)) || (needs(h, into) && needs(from, h)))) return;
    DimMap to = kNoDims;  // space dimension of `from` -> of `into`
    if (!match_spaces(into, from, v, to)) return;
    std::vector<DimMap> maps(b.nodes.size()), operand_maps(b.nodes.size());
    for (size_t i = 0; i < b.nodes.size(); ++i) {
      maps[i] = moved(plan_.map_of[b.nodes[i]], to);
      operand_maps[i] = moved(plan_.operand_map[b.nodes[i]], to);
      if (!covers(a, maps[i])) return;
    }
    const std::vector<ValueId> nodes = b.nodes;
    for (size_t i = 0; i < nodes.size(); ++i) {
      std::swap(plan_.map_of[nodes[i]], maps[i]);
      std::swap(plan_.operand_map[nodes[i]], operand_maps[i]);
      plan_.group_of[nodes[i]] = into;
    }
    if (!consistent(into, nodes)) {
      for (size_t i = 0; i < nodes.size(); ++i) {
        plan_.map_of[nodes[i]] = maps[i];
        plan_.operand_map[nodes[i]] = operand_maps[i];
        plan_.group_of[nodes[i]] = from;
      }
      return;
    }
    take_over(into, from);
  }

  static DimMap moved(const DimMap& map, const DimMap& to) {
    DimMap m = kNoDims;
    for (size_t d = 0; d < m.size(); ++d)
      if (map[d] >= 0) m[d] = to[map[d]];
    return m;
  }

  /// Finds where each dimension of `from`'s space goes, from the places in which `v` reads its values.
  bool match_spaces(int32_t into, int32_t from, ValueId v, DimMap& to) {
    const Group &a = group(into), &b = group(from);
    const DimMap& user = is_reduction(graph_[v]) ? plan_.operand_map[v] : plan_.map_of[v];
    for (ValueId operand : graph_[v].in) {
      if (group_of_operand(operand) != from) continue;
      const ValueId base = base_of(graph_, operand);
      DimMap place;
      if (!base_place(graph_, operand, operand_place(graph_, v, user, operand), place)) return false;
      for (size_t k = 0; k < place.size(); ++k) {
        const int8_t s = plan_.map_of[base][k];
        if (s < 0) continue;
        if (place[k] < 0 || (to[s] >= 0 && to[s] != place[k])) return false;
        to[s] = place[k];
      }
    }
    if (!b.reduced.empty()) {
      if (a.mode != b.mode || a.reduced.size() != b.reduced.size()) return false;
      for (size_t i = 0; i < a.reduced.size(); ++i) {
        int8_t& s = to[b.reduced[i]];
        if (s < 0) s = static_cast<int8_t>(a.reduced[i]);
        if (s != a.reduced[i]) return false;
      }
    }
    for (size_t s = 0; s < b.space.size(); ++s)
      if (b.space[s] != 1 && (to[s] < 0 || a.space[to[s]] != b.space[s])) return false;
    return !has_duplicates(to);
  }

  /// Every operand inside the group lies where its user expects it.
  bool consistent(int32_t g, const std::vector<ValueId>& incoming) const {
    const auto ok = [&](ValueId v) {
      const DimMap& user = is_reduction(graph_[v]) ? plan_.operand_map[v] : plan_.map_of[v];
      for (ValueId operand : graph_[v].in) {
        if (group_of_operand(operand) != g) continue;
        const ValueId base = base_of(graph_, operand);
        DimMap place;
        if (!base_place(graph_, operand, operand_place(graph_, v, user, operand), place)) return false;
        if (place != plan_.map_of[base]) return false;
        const Group& to = plan_.groups[g];
        if (to.mode == LoopMode::Column && is_full(to, user) && after_reduction(g, base)) return false;
      }
      return true;
    };
    return std::all_of(incoming.begin(), incoming.end(), ok) &&
           std::all_of(plan_.groups[g].nodes.begin(), plan_.groups[g].nodes.end(), ok);
  }

  void take_over(int32_t into, int32_t from) {
    Group &a = group(into), &b = group(from);
    std::vector<ValueId> all(a.nodes.size() + b.nodes.size());
    std::merge(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(), all.begin());
    a.nodes = std::move(all);
    b.nodes.clear();
    b.merged = true;
    unite(into, from);
    const auto clear = [&](int32_t g, int32_t h) { needs_[g][h >> 6] &= ~(1ull << (h & 63)); };
    clear(into, into);
    clear(into, from);
    for (int32_t k = 0; k < static_cast<int32_t>(needs_.size()); ++k) {
      if (!needs(k, from) && !needs(k, into)) continue;
      if (k == into || k == from) continue;
      clear(k, from);
      needs_[k][into >> 6] |= 1ull << (into & 63);
      unite(k, into);
    }
    needs_[from].assign(words_, 0);
    needed_[into] = true;
  }

  const Graph& graph_;
  const std::vector<bool>& keep_eager_;
  Plan& plan_;
  size_t words_ = 0;
  std::vector<std::vector<uint64_t>> needs_;
  std::vector<bool> needed_;  // some group may need it
};

}  // namespace

Plan make_plan(const Graph& graph, const std::vector<bool>& keep_eager) {
  Plan plan;
  Grouping(graph, keep_eager, plan).run();
  decide_stores(graph, plan);
  order_groups(graph, plan);
  return plan;
}

}  // namespace sinter::fuse

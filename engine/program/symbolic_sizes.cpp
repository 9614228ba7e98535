#include "symbolic_sizes.h"
#include <algorithm>
#include "../../runtime/mutants.h"
#include "../graph/geometry.h"

namespace sinter {

namespace {

using codegen::LoopKind;
using codegen::LoopNode;
using Numbers = std::array<int64_t, kProbes>;

/// The same thing at each probe.
template <class T>
using Each = std::array<const T*, kProbes>;

template <class T, class F>
auto each(const Each<T>& all, F&& member) {
  Each<std::decay_t<decltype(member(*all[0]))>> out;
  for (size_t j = 0; j < kProbes; ++j) out[j] = &member(*all[j]);
  return out;
}

template <class T, class F>
bool same(const Each<T>& all, F&& value) {
  for (size_t j = 1; j < kProbes; ++j)
    if (!(value(*all[j]) == value(*all[0]))) return false;
  return true;
}

class TermFinder {
 public:
  explicit TermFinder(const Probes& probes) : probes_(probes) {}

  /// Whether this number has a term; noted when it is no constant.
  bool number(const Numbers& n, SizePatch::Where where, size_t at, size_t index, size_t dim, std::vector<SizePatch>& out) const {
    if (n[1] == n[0] && n[2] == n[0]) return true;
    const std::optional<SizeTerm> term = find_term(n, probes_);
    if (!term) return false;
    out.push_back({where, static_cast<int32_t>(at), static_cast<int32_t>(index), static_cast<int32_t>(dim), *term});
    return true;
  }
  template <class List>
  bool list(const Each<List>& all, SizePatch::Where where, size_t at, std::vector<SizePatch>& out, size_t operand = 0) const {
    if (!same(all, [](const List& l) { return l.size(); })) return false;
    const bool stride = where == SizePatch::StepStride;
    for (size_t i = 0; i < all[0]->size(); ++i)
      if (!number({(*all[0])[i], (*all[1])[i], (*all[2])[i]}, where, at, stride ? operand : i, stride ? i : 0, out)) return false;
    return true;
  }
  bool meta(const Each<TensorMeta>& all, size_t at, std::vector<SizePatch>& out) const {
    return same(all, [](const TensorMeta& m) { return m.dtype; }) &&
           list(each(
                    all, [](const TensorMeta& m) -> auto& { return m.sizes; }),
                SizePatch::NodeSize, at, out) &&
           list(each(
                    all, [](const TensorMeta& m) -> auto& { return m.strides; }),
                SizePatch::NodeStride, at, out) &&
           number({all[0]->offset, all[1]->offset, all[2]->offset}, SizePatch::NodeOffset, at, 0, 0, out);
  }

 private:
  const Probes& probes_;
};

bool same_call(const GraphNode& a, const GraphNode& b) {
  return a.kind == b.kind && a.op == b.op && a.flags == b.flags && a.in == b.in && a.attr == b.attr && a.compute == b.compute &&
         a.input == b.input && a.dead == b.dead && a.scalars.size() == b.scalars.size();
}

/// Scalars that are not only of the same number: constants that depend on sizes (counts) differ.
bool same_scalars(const GraphNode& a, const GraphNode& b) { return a.scalars == b.scalars; }

class ProgramTerms {
 public:
  ProgramTerms(const SymbolicRegion& region, ProbedPrograms& programs, SymbolicSizes& sizes)
      : region_(region), programs_(programs), sizes_(sizes), terms_(region.probes) {}

  bool run() {
    sizes_.dims = region_.dims;
    sizes_.slots = region_.regions[0].slots;
    sizes_.inputs = region_.regions[0].inputs;
    for (size_t s = 0; s < sizes_.slots.size(); ++s) {
      const Each<TensorMeta> metas = {&region_.regions[0].slots[s].meta, &region_.regions[1].slots[s].meta,
                                      &region_.regions[2].slots[s].meta};
      if (!terms_.meta(metas, s, sizes_.region_patches)) return false;
    }
    for (size_t e = 0; e < region_.regions[0].events.size(); ++e) {
      const Each<std::vector<int64_t>> ints = {&region_.regions[0].events[e].ints, &region_.regions[1].events[e].ints,
                                               &region_.regions[2].events[e].ints};
      if (!terms_.list(ints, SizePatch::EventInt, e, sizes_.region_patches)) return false;
      sizes_.ints.push_back(*ints[0]);
    }
    return nodes() && all_steps();
  }

 private:
  bool nodes() {
    const auto& g = programs_.graphs;
    if (g[1].nodes.size() != g[0].nodes.size() || g[2].nodes.size() != g[0].nodes.size()) return false;
    for (size_t j = 1; j < kProbes; ++j) {
      if (g[j].outputs.size() != g[0].outputs.size()) return false;
      for (size_t i = 0; i < g[0].outputs.size(); ++i)
        if (g[j].outputs[i].value != g[0].outputs[i].value || g[j].outputs[i].input != g[0].outputs[i].input) return false;
    }
    for (size_t v = 0; v < g[0].nodes.size(); ++v) {
      const Each<GraphNode> n = {&g[0].nodes[v], &g[1].nodes[v], &g[2].nodes[v]};
      if (!same_call(*n[0], *n[1]) || !same_call(*n[0], *n[2])) return false;
      if (n[0]->dead) continue;
      if (!terms_.meta(each(
                           n, [](const GraphNode& x) -> auto& { return x.meta; }),
                       v, sizes_.patches) ||
          !terms_.list(each(
                           n, [](const GraphNode& x) -> auto& { return x.ints; }),
                       SizePatch::NodeInt, v, sizes_.patches))
        return false;
    }
    return true;
  }

  bool all_steps() {
    auto& s = programs_.steps;
    if (s[1].size() != s[0].size() || s[2].size() != s[0].size()) return false;
    for (size_t i = 0; i < s[0].size(); ++i) {
      const Each<PlannedStep> step = {&s[0][i], &s[1][i], &s[2][i]};
      if (!same(step, [](const PlannedStep& x) { return std::pair(x.value, x.lowered.spec.nodes.size()); })) return false;
      if (step[0]->value >= 0) {
        for (const Graph& g : programs_.graphs)
          if (!same_scalars(g[step[0]->value], programs_.graphs[0][step[0]->value])) return false;
      } else if (!kernel(i, step)) {
        return false;
      }
    }
    return true;
  }

  bool kernel(size_t i, const Each<PlannedStep>& step) {
    const auto lowered = each(
        step, [](const PlannedStep& x) -> auto& { return x.lowered; });
    const auto specs = each(
        lowered, [](const fuse::Lowered& x) -> auto& { return x.spec; });
    if (!same(lowered, [](const fuse::Lowered& l) { return l.scalars; }) || !same_shape(lowered)) return false;
    const size_t before = sizes_.patches.size();
    if (!terms_.list(each(
                         specs, [](const codegen::LoopSpec& x) -> auto& { return x.sizes; }),
                     SizePatch::StepSize, i, sizes_.patches))
      return false;
    for (size_t k = 0; k < specs[0]->operands.size(); ++k) {
      const auto strides = each(
          specs, [k](const codegen::LoopSpec& x) -> auto& { return x.operands[k].strides; });
      const Numbers offsets = {lowered[0]->operands[k].offset, lowered[1]->operands[k].offset, lowered[2]->operands[k].offset};
      if (!terms_.list(strides, SizePatch::StepStride, i, sizes_.patches, k) ||
          !terms_.number(offsets, SizePatch::StepOffset, i, k, 0, sizes_.patches))
        return false;
    }
    return emit_with_arguments(i, lowered, before);
  }

  static bool same_shape(const Each<fuse::Lowered>& l) {
    for (size_t j = 1; j < kProbes; ++j) {
      const codegen::LoopSpec &a = l[0]->spec, &b = l[j]->spec;
      if (a.mode != b.mode || !(a.scalars == b.scalars) || !(a.stores == b.stores) || a.operands.size() != b.operands.size() ||
          l[0]->integers.size() != l[j]->integers.size())
        return false;
      for (size_t k = 0; k < a.operands.size(); ++k)
        if (a.operands[k].dtype != b.operands[k].dtype || a.operands[k].output != b.operands[k].output ||
            l[0]->operands[k].base != l[j]->operands[k].base || l[0]->operands[k].output != l[j]->operands[k].output)
          return false;
    }
    return true;
  }

  /// What the first probe's step is to be emitted as: what differs is an argument.
  bool emit_with_arguments(size_t i, const Each<fuse::Lowered>& l, size_t first_patch) {
    fuse::Lowered& step = programs_.steps[0][i].lowered;
    codegen::LoopSpec any = step.spec;
    bool differs = false;
    for (size_t p = first_patch; p < sizes_.patches.size(); ++p) {
      const SizePatch& x = sizes_.patches[p];
      if (x.where == SizePatch::StepSize) any.sizes[static_cast<size_t>(x.index)] = codegen::kAnySize, differs = true;
      if (x.where == SizePatch::StepStride)
        any.operands[static_cast<size_t>(x.index)].strides[static_cast<size_t>(x.dim)] = codegen::kAnyStride, differs = true;
    }
    for (size_t k = 0; k < any.nodes.size(); ++k) {
      const LoopNode& a = l[0]->spec.nodes[k];
      if (a == l[1]->spec.nodes[k] && a == l[2]->spec.nodes[k]) continue;
      if (!count(i, k, l, any)) return false;
      differs = true;
    }
    if (codegen::size_arguments(any).size() > kMostNumbers) return false;
    if (differs) step.any = std::move(any);
    return true;
  }

  /// A constant that was made of an integer which depends on sizes becomes a scalar.
  bool count(size_t i, size_t node, const Each<fuse::Lowered>& l, codegen::LoopSpec& any) {
    Numbers n;
    for (size_t j = 0; j < kProbes; ++j) {
      LoopNode x = l[j]->spec.nodes[node];
      const auto& integers = l[j]->integers;
      const auto at =
          std::find_if(integers.begin(), integers.end(), [&](const auto& e) { return e.first == static_cast<int32_t>(node); });
      x.bits = l[0]->spec.nodes[node].bits;
      if (x.kind != LoopKind::Constant || at == integers.end() || !(x == l[0]->spec.nodes[node])) return false;
      n[j] = at->second;
    }
    fuse::Lowered& step = programs_.steps[0][i].lowered;
    if (!terms_.number(n, SizePatch::StepCount, i, step.counts.size(), 0, sizes_.patches)) return false;
    LoopNode& scalar = any.nodes[node];
    scalar.kind = LoopKind::Scalar;
    scalar.bits = 0;
    scalar.index = static_cast<int32_t>(any.scalars.size());
    any.scalars.push_back(scalar.dtype);
    step.scalars.push_back(-1 - static_cast<int32_t>(step.counts.size()));
    step.counts.push_back(n[0]);
    return true;
  }

  const SymbolicRegion& region_;
  ProbedPrograms& programs_;
  SymbolicSizes& sizes_;
  TermFinder terms_;
};

bool apply_to_meta(const SizePatch& p, int64_t value, TensorMeta& meta) {
  if (p.where == SizePatch::NodeSize) meta.sizes[static_cast<size_t>(p.index)] = value;
  else if (p.where == SizePatch::NodeStride) meta.strides[static_cast<size_t>(p.index)] = value;
  else if (p.where == SizePatch::NodeOffset) meta.offset = value;
  else return false;
  return true;
}

bool apply_to_step(const SizePatch& p, int64_t value, fuse::Lowered& l) {
  const auto index = static_cast<size_t>(p.index), dim = static_cast<size_t>(p.dim);
  switch (p.where) {
    case SizePatch::StepSize:
      l.spec.sizes[index] = value;
      return true;
    case SizePatch::StepStride:
      l.spec.operands[index].strides[dim] = value;
      return dim + 1 < l.spec.sizes.size() || (value <= codegen::kMaxLaneStride && value >= -codegen::kMaxLaneStride);
    case SizePatch::StepOffset:
      l.operands[index].offset = value;
      return true;
    default:  // a number of elements, less one, in the variance of no elements
      l.counts[index] = std::max<int64_t>(value, 0);
      return true;
  }
}

/// Where one element is left behind the reduced dimensions, eager reduces rows: another order.
bool keeps_columns(const Graph& graph, const PlannedStep& step) {
  const codegen::LoopSpec& spec = step.lowered.kernel_spec();
  if (!step.kernel || spec.mode != codegen::LoopMode::Column) return true;
  for (size_t k = 0; k < spec.nodes.size(); ++k) {
    if (spec.nodes[k].kind != LoopKind::Reduce) continue;
    const GraphNode& n = graph[step.lowered.node_values[k]];
    const SizeVec& sizes = graph[n.in[0]].meta.sizes;
    const uint32_t dims = reduce_dims(n.attr);
    int64_t inner = 1;
    for (size_t d = sizes.size(); d-- > 0 && dims != 0 && !(dims >> d & 1);) inner *= sizes[d];
    if (inner == 1 && !SINTER_MUTANT(symbolic_columns_become_rows)) return false;
  }
  return true;
}

}  // namespace

bool find_terms(const SymbolicRegion& region, ProbedPrograms& programs, SymbolicSizes& sizes) {
  return ProgramTerms(region, programs, sizes).run();
}

bool same_places(const BufferPlan& a, const BufferPlan& b) {
  const auto same_place = [](const BufferPlace& x, const BufferPlace& y) { return x.kind == y.kind && x.index == y.index; };
  return std::equal(a.places.begin(), a.places.end(), b.places.begin(), b.places.end(), same_place);
}

bool SymbolicSizes::symbols_of(const Region& region, SymbolValues& symbols) const {
  symbols.fill(-1);
  for (const SymbolDim& d : dims) {
    const RegionSlot& in = region.slots[static_cast<size_t>(region.inputs[static_cast<size_t>(d.input)])];
    const int64_t size = in.meta.sizes[static_cast<size_t>(d.dim)];
    int64_t& s = symbols[static_cast<size_t>(d.symbol)];
    if (s >= 0 && s != size) return false;
    s = size;
  }
  // Everything that eager was told and inferred must be what the terms say.
  std::vector<RegionSlot> expected = slots;
  std::vector<std::vector<int64_t>> expected_ints = ints;
  for (const SizePatch& p : region_patches) {
    int64_t value = 0;
    if (!p.term.value(symbols, value)) return false;
    const auto at = static_cast<size_t>(p.at);
    if (p.where == SizePatch::EventInt) expected_ints[at][static_cast<size_t>(p.index)] = value;
    else apply_to_meta(p, value, expected[at].meta);
  }
  for (size_t e = 0; e < expected_ints.size() && !SINTER_MUTANT(symbolic_integers_not_compared); ++e)
    if (expected_ints[e] != region.events[e].ints) return false;
  if (SINTER_MUTANT(symbolic_geometry_not_compared)) return true;
  for (size_t s = 0; s < expected.size(); ++s)
    if (!same_geometry(expected[s].meta, region.slots[s].meta)) return false;
  return true;
}

bool apply(const std::vector<SizePatch>& patches, const SymbolValues& symbols, Graph& graph, std::vector<PlannedStep>& steps) {
  for (const SizePatch& p : patches) {
    int64_t value = 0;
    if (!p.term.value(symbols, value)) return false;
    const auto at = static_cast<size_t>(p.at);
    if (p.where == SizePatch::NodeInt) graph.nodes[at].ints[static_cast<size_t>(p.index)] = value;
    else if (p.where < SizePatch::NodeInt) apply_to_meta(p, value, graph.nodes[at].meta);
    else if (!apply_to_step(p, value, steps[at].lowered)) return false;
  }
  return std::all_of(steps.begin(), steps.end(), [&](const PlannedStep& step) { return keeps_columns(graph, step); });
}

}  // namespace sinter

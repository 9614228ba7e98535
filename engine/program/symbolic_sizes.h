// One program for many sizes: what of it are numbers that depend on symbols, and what these are.
#pragma once
#include "buffers.h"
#include "layout.h"
#include "symbols.h"

namespace sinter {

/// A number of a graph or of its steps, and its term.
struct SizePatch {
  enum Where : uint8_t { NodeSize, NodeStride, NodeOffset, NodeInt, StepSize, StepStride, StepOffset, StepCount, EventInt } where;
  int32_t at;     // node, step or event
  int32_t index;  // dimension, integer, operand or count
  int32_t dim;    // StepStride
  SizeTerm term;
};

/// What was the same at all probes is fixed, the rest follows from the symbols.
struct SymbolicSizes {
  std::vector<SymbolDim> dims;
  std::vector<RegionSlot> slots;           // of the region at the first probe
  std::vector<int32_t> inputs;             // input number -> slot
  std::vector<std::vector<int64_t>> ints;  // of its events
  std::vector<SizePatch> region_patches;   // NodeSize, NodeStride and NodeOffset of slots, EventInt
  std::vector<SizePatch> patches;

  /// The symbols of a region; false when it is none of these: another dimension differs, or an integer.
  bool symbols_of(const Region& region, SymbolValues& symbols) const;
};

/// A program at each probe: the same but for numbers.
struct ProbedPrograms {
  std::array<Graph, kProbes> graphs;
  std::array<std::vector<PlannedStep>, kProbes> steps;
};

/// Finds the terms of all numbers that differ. The steps of the first probe are told what to emit (Lowered::any). False when the
/// programs differ in more, or a number has no term.
bool find_terms(const SymbolicRegion& region, ProbedPrograms& programs, SymbolicSizes& sizes);
/// The same of buffer plans, which have no numbers of their own.
bool same_places(const BufferPlan& a, const BufferPlan& b);

/// Sets the numbers of copies of the first probe's graph and steps. False when a term has no value, or a kernel cannot take it.
bool apply(const std::vector<SizePatch>& patches, const SymbolValues& symbols, Graph& graph, std::vector<PlannedStep>& steps);
/// As make_layout, for one of many sizes: matrix products are left to their eager kernels, which give the same bits. Code of
/// their own would be for these sizes alone.
Layout make_sized_layout(const Graph& graph, const std::vector<PlannedStep>& steps, const BufferPlan& buffers,
                         size_t region_inputs);

}  // namespace sinter

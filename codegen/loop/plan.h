// Divides a LoopSpec into pieces of straight-line code.
//
// A row (Pointwise, Row: along the last dimension; Column: a block of columns over all rows) runs as
//   uniform[0] sweep[0] uniform[1] sweep[1] ...
// where sweep[k] computes what varies along the row, and uniform[k] what is one number per row (one vector per block of
// columns), once the reductions of the sweeps before k are known. Uniform values live in stack slots. A varying value that
// a later sweep needs again is computed again when that is cheap, else kept in a row buffer in the scratch memory.
#pragma once
#include "emit_builder.h"
#include "frame.h"

namespace sinter::codegen {

inline constexpr int kMaxColumnCopies = 8;

/// Takes about one instruction.
bool is_short_operator(Op op);
/// Of a Compute node: the type of its operands.
ScalarType compute_type(const LoopSpec& spec, const LoopNode& n);

class LoopPlan {
 public:
  explicit LoopPlan(KernelFrame& frame);

  /// Why the spec cannot be emitted; null when it can.
  static const char* refuse(const LoopSpec& spec);
  /// 64-bit values anywhere make all vectors as many lanes as a register of them has.
  static int lanes_for(const LoopSpec& spec, Isa isa, bool narrow = false);

  int sweep_count() const { return static_cast<int>(sweeps.size()); }
  /// In all, or for each 16 elements of a last dimension of any size.
  size_t scratch_bytes() const { return scratch_; }
  /// Floating-point operations an element of the space takes, and a row (or column) takes beside its elements.
  double element_flops() const;
  double row_flops() const;

  std::vector<Ir> uniforms, sweeps;
  std::vector<std::vector<int32_t>> reduces;  // per sweep: numbers in the frame's accumulators
  std::vector<int32_t> slot;                  // per node: stack slot of its uniform value (also Scalars), or -1
  bool buffers_used = false;

 private:
  using V = EmitBuilder::V;
  struct Piece {
    Ir* ir;
    int stage;
    bool sweep;
  };
  const LoopNode& node(int n) const { return f_.spec.nodes[static_cast<size_t>(n)]; }
  bool varies(int n) const { return varies_[static_cast<size_t>(n)]; }
  int stage(int n) const { return stage_[static_cast<size_t>(n)]; }
  void analyse();
  void find_live();
  void make_accumulators();
  void build_sweep(int k);
  void build_uniform(int k);
  bool store_in_sweep(const LoopStore& s) const;
  int store_stage(const LoopStore& s) const;
  bool may_alias(int operand) const;
  void emit_stores(Piece p, bool in_sweep);
  V lower(Piece p, int n);
  V compute(Piece p, int n);
  V uniform_slot(Piece p, int n);
  int recompute_cost(int n, int limit) const;
  bool keeps_buffer(int n) const;

  KernelFrame& f_;
  size_t axis_;
  std::vector<bool> varies_, live_;
  std::vector<int> stage_;
  std::vector<V> env_;           // per node: its value in the piece under construction
  std::vector<int32_t> buffer_;  // per node: offset of its row buffer, or -1
  std::vector<bool> wants_slot_;
  std::vector<int32_t> accumulator_;  // per node
  size_t scratch_ = 0;
};

}  // namespace sinter::codegen

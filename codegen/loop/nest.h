// Emits the whole kernel: prologue, loops around the pieces of a LoopPlan, epilogue, cold code, data.
#pragma once
#include "body_emitter.h"
#include "plan.h"

namespace sinter::codegen {

class NestEmitter {
 public:
  NestEmitter(KernelFrame& frame, LoopPlan& plan) : f_(frame), a_(frame.a), plan_(plan), body_(frame) {}
  void emit();

 private:
  // nest.cpp
  void prologue();
  void epilogue();
  void load_pointers();
  void load_scalars();
  void leave_when_empty();
  void choose_pointer_registers();
  void dispatch_streaming();

  // split.cpp: LoopSpec::split
  void load_range();
  void move_along_range(bool back);
  void start_rounds(int64_t step, int64_t rounds, const asmjit::Label& top, const asmjit::Label& after);
  void next_round(const asmjit::Label& top);
  void skip_rest_inside(int64_t extent, const asmjit::Label& end);

  bool streams() const;
  void outer(size_t dim);
  void step_all(size_t dim);
  void rewind_all(size_t dim);
  bool empty() const;
  int outer_dims() const { return static_cast<int>(f_.spec.sizes.size()) - (f_.spec.mode == LoopMode::Column ? 2 : 1); }

  // any_size_sweeps.cpp
  template <class Body, class After>
  void rounds_of(int64_t elements, const asmjit::Operand& extent, bool align, Body&& body, After&& after);
  void any_size_sweep(int k);
  void any_size_reduce_sweep(int k);
  void any_size_columns();
  void any_size_column_rows(int k, const std::vector<BodyParams>& copies);

  // sweeps.cpp
  void row();
  void uniform(int k, const BodyParams& p, bool along_lanes);
  template <class Body>
  void rounds_of_row(int64_t step, int64_t rounds, bool more, bool align, Body&& body);
  void pointwise_sweep(int k);
  void copy_of(const Ir& ir, const BodyParams& p, int sweep);
  void choose_prefetch();
  bool fetches(int sweep, int line) const;
  void reduce_sweep(int k);
  void columns();
  void column_block(const std::vector<BodyParams>& copies);
  void column_sweep(int k, const std::vector<BodyParams>& copies);
  void pin(int k, int acc_copies, int64_t visits);
  void unpin();
  void start_accumulators(int k, int copies);
  void fold(int k, int copies);
  void finish_row(int k, bool two_levels);
  void finish_column(int k, int copies, bool two_levels);
  int free_vector(int nth) const;
  int unroll_of(const Ir& ir) const;
  void compare_index(const x86::Gp& reg, int64_t bound);

  KernelFrame& f_;
  x86::Assembler& a_;
  LoopPlan& plan_;
  BodyEmitter body_;
  bool stream_ = false;
  struct Prefetch {
    int operand;
    int32_t ahead;
  };
  int prefetch_sweep_ = -1;         // sweep that fetches ahead, or -1
  int second_prefetch_sweep_ = -1;  // takes every second line, if any
  std::vector<Prefetch> prefetched_;
  std::vector<uint32_t> saved_;  // callee-saved registers pushed
  size_t patch_frame_ = 0;       // offset of the 32-bit frame size
  asmjit::Label exit_;
};

}  // namespace sinter::codegen

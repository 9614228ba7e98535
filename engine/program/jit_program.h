// The program of a region: addresses are offsets from a table of bases, so that a run only adds and calls.
#pragma once
#include "layout.h"
#include "program.h"
#include "symbolic_sizes.h"

namespace sinter {

class JitProgram final : public Program {
 public:
  /// `region_inputs`: number of inputs of the region.
  JitProgram(Graph g, std::vector<PlannedStep> steps, size_t region_inputs);
  /// For many sizes: graph, steps and buffers are those of the first probe.
  JitProgram(Graph g, std::vector<PlannedStep> steps, BufferPlan buffers, SymbolicSizes sizes);

  void run(const Launch& launch) const override;
  std::unique_ptr<const Layout> lay_out(const Region& region) const override;
  std::vector<std::string> symbols() const override;
  std::string str() const override;
  std::vector<ProgramStep> steps() const override;
  std::vector<std::pair<std::string, std::string>> assembly() const override;

 private:
  void run_steps(const Layout& layout, char* const* bases, const Launch& launch, char* arena, int threads, StepCost* costs) const;
  void run_kernel_step(const Layout& layout, uint32_t index, char* const* bases, const Scalar* scalars, char* scratch,
                       int threads) const;
  void run_split(const Layout& layout, uint32_t index, void* const* arguments, const uint64_t* values, char* scratch,
                 int threads) const;
  static void run_with_epilogue(const Layout& layout, const Layout::ProductStep& p, const codegen::ProductKernel& kernel,
                                const void* b, char* const* bases, const Scalar* scalars, char* scratch);
  static void fill_scalars(const Layout& layout, const Layout::KernelStep& k, const Scalar* scalars, uint64_t* values);
  /// All of a run's costs but the times; made before its first write, as there may be no memory for it.
  RunCosts planned_costs(const Layout& layout) const;
  static void run_eager(const Layout::EagerStep& step, char* const* bases, const Scalar* scalars);
  static void* at(char* const* bases, const Layout::Address& a) { return a.base < 0 ? nullptr : bases[a.base] + a.offset; }
  std::string step_name(size_t i) const;
  void finish();
  void name_sizes();
  uint64_t shape_of_layouts() const;
  int number_kernels();
  // Of planned step i; null: none, or one for each size.
  const Layout::Step* layout_step(size_t i) const;
  const codegen::ProductKernel* product_at(size_t i) const;
  const codegen::AttentionKernel* attention_at(size_t i) const;
  bool is_first_product(size_t i) const;  // of its name: what is listed; attention is a product too
  std::string product_listing(size_t i) const;
  std::string node_note(ValueId v) const;
  std::string place_text(ValueId v) const;
  std::string operands_text(const PlannedStep& step) const;

  size_t n_inputs_;
  std::vector<codegen::KernelFn> kernels_;  // of kernel steps, in order
  std::vector<PlannedStep> planned_;        // keeps the kernels; for explanation
  std::vector<int> kernel_numbers_;         // per step, -1 for eager ones; steps may share a kernel
  BufferPlan buffers_;
  Layout layout_;                               // of exact sizes
  std::unique_ptr<const SymbolicSizes> sizes_;  // set: many sizes, each with a layout of its own
};

}  // namespace sinter

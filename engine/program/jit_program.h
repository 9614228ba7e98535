// The program of a region: addresses are offsets from a table of bases, so that a run only adds and calls.
#pragma once
#include "../../runtime/kernels/kernel.h"
#include "../../runtime/kernels/settled_product.h"
#include "buffers.h"
#include "program.h"

namespace sinter {

class JitProgram final : public Program {
 public:
  /// `region_inputs`: number of inputs of the region.
  JitProgram(Graph g, std::vector<PlannedStep> steps, size_t region_inputs);

  void run(const Launch& launch) const override;
  std::string str() const override;
  std::vector<ProgramStep> steps() const override;
  std::vector<std::pair<std::string, std::string>> assembly() const override;

 private:
  /// An address: bases[base] + offset. Bases: the inputs, then the outputs, then the arena. base -1: null.
  struct Address {
    int32_t base = -1;
    int64_t offset = 0;
  };
  struct KernelStep {
    codegen::KernelFn fn;
    uint32_t first_address, n_addresses, first_scalar;
    int64_t elements;              // of a kernel of any size
    int64_t ns = 0;                // of a kernel that takes a range of a dimension: about how long the whole takes,
    int64_t extent = 0, step = 1;  // and what the range is a part of
  };
  struct ScalarSlot {
    int32_t input;
    ScalarType type;
  };
  struct EagerStep {
    KernelArgs args;  // data, in and scalars are filled in at each run
    Address out;
    std::vector<TensorView> views;  // operands without their data
    std::vector<Address> in;
    std::vector<ScalarRef> scalars;
  };
  struct ProductStep {
    SettledProduct product;
    Address a, b, bias, out;
  };
  struct Step {
    enum Kind : uint8_t { Kernel, Product, Eager } kind;
    uint32_t index;
  };

  void add_kernel(const PlannedStep& step);
  void add_eager(const PlannedStep& step);
  /// False: an eager step without elements.
  bool runs(const PlannedStep& step) const { return step.kernel || step.copy_to >= 0 || graph[step.value].numel() != 0; }
  /// Whether an eager step is a matrix product that can do without looking at its operands again.
  bool settles(const EagerStep& e, ProductStep& p) const;
  Address address_of(ValueId base, int64_t byte_offset) const;
  TensorView view_of(ValueId v) const;
  void run_steps(char* const* bases, const Scalar* scalars, char* arena, int threads, StepCost* costs) const;
  void run_split(const KernelStep& k, void* const* arguments, uint64_t* values, size_t n_scalars, char* scratch,
                 int threads) const;
  /// All of a run's costs but the times; made before its first write, as there may be no memory for it.
  RunCosts planned_costs() const;
  void run_eager(const EagerStep& step, char* const* bases, const Scalar* scalars) const;
  static void* at(char* const* bases, const Address& a) { return a.base < 0 ? nullptr : bases[a.base] + a.offset; }
  std::string step_name(size_t i) const;
  int number_kernels();
  std::string node_note(ValueId v) const;
  std::string place_text(ValueId v) const;

  size_t n_inputs_;
  std::vector<KernelStep> kernels_;
  std::vector<ProductStep> products_;
  std::vector<EagerStep> eager_;
  std::vector<Step> order_;
  std::vector<Address> addresses_;        // arguments of all kernels
  std::vector<ScalarSlot> scalar_slots_;  // scalars of all kernels
  std::vector<PlannedStep> planned_;      // keeps the kernels; for explanation
  std::vector<int> kernel_numbers_;       // per step, -1 for eager ones; steps may share a kernel
  BufferPlan buffers_;
  int64_t split_scratch_ = 0;  // bytes of scratch memory each thread of a divided kernel needs
};

}  // namespace sinter

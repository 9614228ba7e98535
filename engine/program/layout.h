// What of a program depends on sizes: bytes, addresses, extents and strides that kernels take, operands of eager kernels. A
// program of exact sizes has one; one of symbols gets one for each assignment of sizes, without compiling anything.
#pragma once
#include "../../codegen/attention/attention_kernel.h"
#include "../../codegen/gemm/product_kernel.h"
#include "../../runtime/kernels/kernel.h"
#include "buffers.h"
#include "costs.h"
#include "frozen_step.h"

namespace sinter {

/// Extents and strides that one kernel takes, at most.
inline constexpr size_t kMostNumbers = 512;

struct Layout {
  /// An address: bases[base] + offset. Bases: the inputs, then the outputs, then the arena. base -1: null.
  struct Address {
    int32_t base = -1;
    int64_t offset = 0;
  };
  /// Arguments of a kernel, as ranges of the tables below.
  struct KernelStep {
    uint32_t first_address, n_addresses, first_scalar, n_scalars, first_number, n_numbers;
    int64_t ns = 0;                // of a kernel that takes a range of a dimension: about how long the whole takes,
    int64_t extent = 0, step = 1;  // and what the range is a part of
  };
  /// A region's value scalar, or (input < 0) a number that depends on sizes, in the type a kernel wants.
  struct ScalarSlot {
    int32_t input;
    ScalarType type;
    uint64_t bits = 0;
  };
  struct EagerStep {
    KernelArgs args;  // data, in and scalars are filled in at each run
    Address out;
    std::vector<TensorMeta> metas;  // of the result, then the operands; what args and views refer to
    std::vector<int64_t> ints;
    std::vector<TensorView> views;  // operands without their data
    std::vector<Address> in;
    std::vector<ScalarRef> scalars;
    std::shared_ptr<const codegen::AttentionKernel> attention;  // in place of the eager kernel
  };
  struct ProductStep {
    std::shared_ptr<const codegen::ProductKernel> kernel;
    Address a, b, bias, out;
    KernelStep epilogue{};                     // its arguments, none without
    std::unique_ptr<const FrozenStep> frozen;  // b is a region's input: where it is a frozen weight
  };
  struct Step {
    enum Kind : uint8_t { Kernel, Product, Eager } kind;
    uint32_t index;  // kernels: also into the program's list of them
  };

  std::vector<int64_t> output_bytes;
  int64_t arena_bytes = 0, scratch_offset = 0;
  int64_t split_scratch = 0;  // bytes of scratch memory each thread of a divided kernel needs
  std::vector<KernelStep> kernels;
  std::vector<ProductStep> products;
  std::vector<EagerStep> eager;
  std::vector<Step> order;
  std::vector<Address> addresses;
  std::vector<ScalarSlot> scalar_slots;
  std::vector<int64_t> numbers;
  std::vector<StepCost> costs;  // of a program for many sizes: what each step in `order` moves and computes
};

/// False: an eager step without elements.
inline bool runs(const Graph& graph, const PlannedStep& step) {
  return step.kernel || step.copy_to >= 0 || graph[step.value].numel() != 0;
}

/// The layout of steps over a graph of concrete sizes.
Layout make_layout(const Graph& graph, const std::vector<PlannedStep>& steps, const BufferPlan& buffers, size_t region_inputs);

}  // namespace sinter

// Where each stored value lies: in an input's memory, an output's storage, or the arena.
#pragma once
#include <memory>
#include "../../codegen/gemm/product_kernel.h"
#include "../../codegen/kernel.h"
#include "../passes/fuse/lower.h"

namespace sinter {

/// A step in execution order: a kernel with its bindings, or one node (a matrix product, or anything for its eager kernel), or a
/// product with what its users would have done to its elements, or a copy into an input.
struct PlannedStep {
  std::shared_ptr<const codegen::Kernel> kernel;
  fuse::Lowered lowered;
  ValueId value = -1;  // product, eager: the node; copy: the value to write back
  /// With an epilogue: the product `value`, which itself is not stored; `lowered` is the epilogue's.
  std::shared_ptr<const codegen::ProductKernel> product;
  int32_t copy_to = -1;  // copy: number of the input
  bool inplace = false;  // eager: runs on its first operand's memory
};

struct BufferPlace {
  enum class Kind : uint8_t { None, Input, Output, Arena } kind = Kind::None;
  int32_t index = -1;  // of the input or output
  int64_t offset = 0;  // bytes, Arena
};

struct BufferPlan {
  /// A temporary gets its memory, or gives it back.
  struct Move {
    ValueId value;
    bool take;
  };
  std::vector<BufferPlace> places;    // per value
  std::vector<int64_t> output_bytes;  // in the order of the graph's outputs that are no write-backs
  int64_t arena_bytes = 0;            // temporaries, then kernel scratch
  int64_t scratch_offset = 0;
  std::vector<Move> moves;  // in the order of execution
};

/// Places every value the steps store; appends copy steps for write-backs that cannot go straight to the input.
BufferPlan plan_buffers(const Graph& graph, std::vector<PlannedStep>& steps);
/// Fills in all bytes and offsets of a plan whose places are chosen.
void size_buffers(const Graph& graph, const std::vector<PlannedStep>& steps, BufferPlan& plan);

}  // namespace sinter

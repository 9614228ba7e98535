// Attention of fixed geometry: emitted register tiles for its two products.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "../../runtime/kernels/attention_tiles.h"
#include "../gemm/product_kernel.h"

namespace sinter::codegen {

/// Immutable and shared by threads. What is between the products, and the order of all of it, is the eager kernel's
/// (runtime/kernels/attention_order.h): the same bits.
class AttentionKernel {
 public:
  AttentionShape shape;
  AttentionTiles tiles;
  /// The code behind `tiles`, and what it computes.
  std::vector<std::pair<std::string, std::shared_ptr<const TileCode>>> code;

  void run(const KernelArgs& args) const { run_attention(args, tiles); }
  /// "attention_128x128x64", queries, keys and depth.
  std::string name() const;
  size_t code_bytes() const;
  std::string disassembly() const;
};

/// Emits under the shape's instruction set. Null, and why, when there is none. Thread-safe.
std::shared_ptr<const AttentionKernel> get_attention(const AttentionShape& shape, NoKernel& why);

}  // namespace sinter::codegen

// A matrix product of fixed geometry: its plan and the code of its tiles.
#pragma once
#include <memory>
#include <string>
#include "../../runtime/kernels/settled_product.h"
#include "../kernel.h"
#include "tile_spec.h"

namespace sinter::codegen {

/// Installed code of one tile; freed with the last reference. Equal tiles share it, whatever product they belong to.
class TileCode {
 public:
  TileCode(const TileSpec& tile, void* code, size_t with_constants, size_t code_alone)
      : spec(tile), fn(reinterpret_cast<GemmTileFn>(code)), bytes(with_constants), code_bytes(code_alone) {}
  TileCode(const TileCode&) = delete;
  TileCode& operator=(const TileCode&) = delete;
  ~TileCode();
  const TileSpec spec;
  const GemmTileFn fn;
  const size_t bytes, code_bytes;
};

/// Finds or emits a tile. Null, and why, when there is none. Thread-safe.
std::shared_ptr<const TileCode> get_tile(const TileSpec& spec, NoKernel& why);

/// Immutable and shared by threads. Sums in the order of runtime/kernels/gemm_order.h: the eager kernel's bits.
class ProductKernel {
 public:
  SettledProduct product;
  GemmPlan plan;
  GemmTiles tiles{};
  std::shared_ptr<const TileCode> code[2][2];  // as in `tiles`, null where there is no such tile

  /// bias: null if the product has none. scratch: plan.scratch_bytes, 64-byte aligned.
  void run(const void* a, const void* b, const void* bias, void* c, void* scratch) const;
  /// "gemm_64x512x784", m, n and k.
  std::string name() const;
  size_t code_bytes() const;
  std::string disassembly() const;
};

/// Plans and emits under the current ISA cap. Null, and why, when there is none. Thread-safe.
std::shared_ptr<const ProductKernel> get_product(const SettledProduct& product, NoKernel& why);

}  // namespace sinter::codegen

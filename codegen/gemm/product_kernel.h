// A matrix product of fixed geometry: its plan and the code of its tiles.
#pragma once
#include <memory>
#include <string>
#include "../../runtime/kernels/settled_product.h"
#include "../kernel.h"
#include "epilogue.h"
#include "tile_spec.h"

namespace sinter::codegen {

/// Installed code of one tile; freed with the last reference. Equal tiles share it, whatever product they belong to.
class TileCode {
 public:
  TileCode(const TileSpec& tile, void* code, const EmittedTile& emitted)
      : spec(tile),
        fn(reinterpret_cast<GemmTileFn>(code)),
        bytes(emitted.bytes.size()),
        code_bytes(emitted.code_bytes),
        element_flops(emitted.element_flops) {}
  TileCode(const TileCode&) = delete;
  TileCode& operator=(const TileCode&) = delete;
  ~TileCode();
  const TileSpec spec;
  const GemmTileFn fn;
  const size_t bytes, code_bytes;
  const double element_flops;  // of the epilogue
};

/// Finds or emits a tile. Null, and why, when there is none. Thread-safe.
std::shared_ptr<const TileCode> get_tile(const TileSpec& spec, NoKernel& why);
/// Drops what the cache remembers of tiles that are gone.
void forget_dead_tiles();

/// Immutable and shared by threads. Sums in the order of runtime/kernels/gemm_order.h: the eager kernel's bits.
class ProductKernel {
 public:
  SettledProduct product;
  Isa level = Isa::None;  // of the tiles
  GemmPlan plan;
  std::shared_ptr<const Epilogue> epilogue;  // may be null
  double epilogue_flops = 0;                 // of an element
  GemmTiles tiles{};
  std::shared_ptr<const TileCode> code[2][2];  // as in `tiles`, null where there is no such tile

  /// bias: null if the product has none. scratch: plan.scratch_bytes, 64-byte aligned. `arguments`: of the
  /// epilogue, as a kernel of its spec takes them.
  void run(const void* a, const void* b, const void* bias, void* c, void* scratch, const GemmEpilogue& arguments = {}) const;
  /// "gemm_64x512x784_bias_relu": m, n and k, and what is done in registers.
  std::string name() const;
  size_t code_bytes() const;
  std::string disassembly() const;
};

/// Plans and emits under the current ISA cap. Null, and why, when there is none; with an epilogue also where it would not pay.
/// Thread-safe.
std::shared_ptr<const ProductKernel> get_product(const SettledProduct& product, NoKernel& why,
                                                 std::shared_ptr<const Epilogue> epilogue = nullptr);

/// `kernel`'s product over b packed in panels (runtime/frozen_weight.h): a plan without code yet. Null where panels do not help,
/// or would change the order of sums. @throws std::bad_alloc.
std::unique_ptr<const ProductKernel> plan_frozen(const ProductKernel& kernel);
/// Finds or emits the code of a plan. False, and why, when there is none. Thread-safe.
bool emit_tiles(ProductKernel& kernel, NoKernel& why);

}  // namespace sinter::codegen

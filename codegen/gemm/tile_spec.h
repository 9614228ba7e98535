// What code is emitted for a register tile of a matrix product; all of it is the key under which the code is shared.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>
#include "../../runtime/cpu.h"
#include "../../runtime/dtype.h"
#include "../../runtime/kernels/gemm_plan.h"

namespace sinter::codegen {

struct Epilogue;

struct TileSpec {
  ScalarType dtype = ScalarType::Float;
  Isa isa = Isa::Avx512;
  GemmTileShape shape;
  bool blocks = false;                       // chain: k may be longer than kGemmBlock
  int64_t dot_k = 0;                         // above 0: lanes along k, of this length
  bool swapped = false;                      // with an epilogue: the v side is the rows of the result
  std::shared_ptr<const Epilogue> epilogue;  // may be null
  friend bool operator==(const TileSpec& a, const TileSpec& b);
};

/// The tile of a plan at [last rows][last panel].
TileSpec tile_of(const GemmPlan& plan, ScalarType dtype, Isa isa, bool last_rows, bool last_panel,
                 std::shared_ptr<const Epilogue> epilogue = nullptr);

/// What fits into the registers of an instruction set.
const GemmRegisters& tile_registers(Isa isa, ScalarType dtype);

/// Position-independent machine code of a GemmTileFn; what follows `code_bytes` are its constants.
struct EmittedTile {
  std::vector<uint8_t> bytes;
  size_t code_bytes = 0;
  double element_flops = 0;  // of the epilogue
};

/// @throws Xbyak::Error when strides do not fit an instruction; Error for an epilogue that cannot be had.
EmittedTile emit_tile(const TileSpec& spec);

// The two forms (gemm_order.h).
EmittedTile emit_chain_tile(const TileSpec& spec);
EmittedTile emit_dot_tile(const TileSpec& spec);

}  // namespace sinter::codegen

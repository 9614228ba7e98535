// Attention of fixed geometry: what emitted register tiles are made for, and how they take the place of those in C++.
#pragma once
#include "../cpu.h"
#include "gemm_plan.h"
#include "kernel.h"

namespace sinter {

/// Sizes and strides (in elements) that the code of tiles depends on.
struct AttentionShape {
  Isa isa = Isa::None;
  ScalarType dtype = ScalarType::Float;
  int64_t queries = 0, keys = 0, depth = 0, width = 0;
  int64_t q_row = 0, v_row = 0, out_row = 0;
  int64_t score_stride = 0;
  int64_t panel = 0;  // keys that are packed side by side
};

/// Tiles of `rows` rows; queries % rows are left for those of the last rows, keys or width % panel for those of the last panel.
/// Chains of the v side's columns (gemm_plan.h) over rows of queries, or of weights.
struct AttentionTiles {
  Isa isa = Isa::None;
  int64_t rows = 0, panel = 0;
  GemmTileFn scores[2][2] = {}, values[2][2] = {};  // [last panel][last rows]
};

/// Geometry of a scaled_dot_product_attention call; `args` needs no data. False for what the eager kernel does more for: copies
/// of operands, empty results.
bool settle_attention(const KernelArgs& args, AttentionShape& shape);
/// The eager kernel with emitted tiles: the same bits.
void run_attention(const KernelArgs& args, const AttentionTiles& tiles);

}  // namespace sinter

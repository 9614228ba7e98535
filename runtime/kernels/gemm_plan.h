// How a matrix product is cut into register tiles, and the loops around them. The tiles themselves are C++ (isa/gemm.h) or
// emitted (codegen/gemm): both are called alike. No choice made here changes the order of a sum (gemm_order.h).
#pragma once
#include <cstdint>
#include "../dtype.h"

namespace sinter {

/// c (m x n, row-major, dense) = a (m x k) * b (k x n). Strides in elements.
struct GemmShape {
  ScalarType dtype = ScalarType::Float;
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0, a_col = 0, b_row = 0, b_col = 0;
  friend bool operator==(const GemmShape&, const GemmShape&) = default;
};

/// What a set of tile kernels offers. Chain tiles: up to `rows` rows of up to `vectors[rows]` vectors of `lanes` elements. Dot
/// tiles: up to `dot_rows` rows on the smaller side, with up to `dot_columns[rows]` of the other side.
struct GemmRegisters {
  int lanes;
  int rows;
  int8_t vectors[9];
  int dot_rows;
  int8_t dot_columns[9];
  bool masks_loads;  // vectors may end where memory ends
};

/// Strides and sizes of the tiles of one plan, in bytes and elements. Emitted tiles have them in their code.
struct GemmTileShape {
  int64_t v_k = 0;                // v side from one k to the next; dot: from one column to the next
  int64_t s_k = 0, s_s = 0;       // s side
  int64_t c_v = 0, c_s = 0;       // result
  int32_t rows = 0, vectors = 0;  // dot: rows and columns
  int32_t tail = 0;               // elements of the last vector that exist; 0: all
  bool mask_loads = false;        // with a tail: v has no memory beyond it
  bool fetch_rows = false;        // the rows of the next tile, each along k, come from far away: fetch them ahead
  bool fetch_v = false;           // panels follow each other and come from far away: fetch what is read soon
  bool bias_s = false, bias_v = false;
  friend bool operator==(const GemmTileShape&, const GemmTileShape&) = default;
};

/// One call of a tile.
struct GemmTile {
  const void* v;
  const void* s;
  void* c;
  int64_t k;
  const void* bias;
  void* totals;                // sums of earlier blocks, tile rows * vectors vectors; unused while k stays within one block
  int64_t earlier;             // totals holds sums
  int64_t more;                // more calls for this tile follow: leave the sums in totals
  const GemmTileShape* shape;  // for C++ tiles
  // Of tiles with an epilogue (codegen/gemm/epilogue.h): its operands and scalars as kernels take them; the tile's first element
  // among those of the result, and that one's column.
  const void* const* operands = nullptr;
  const uint64_t* scalars = nullptr;
  int64_t at = 0, column = 0;
};
using GemmTileFn = void (*)(const GemmTile*);

/// The tiles of a plan: [last rows][last panel].
struct GemmTiles {
  GemmTileFn fn[2][2];
};

/// The v side is cut into panels of `vectors` vectors, the s side into tiles of `rows` rows; what is left over is in the last of
/// each. The v side is b's columns, or a's rows (`swapped`), when c is written transposed. For dot products the s side is the
/// smaller one and panels are columns.
struct GemmPlan {
  bool dot = false, swapped = false;
  bool pack_v = false, pack_s = false;
  bool blocks = false;  // k is longer than one block
  int32_t element = 4, lanes = 1;
  int64_t v = 0, s = 0, k = 0;
  int64_t from_v_v = 0, from_v_k = 0, from_s_s = 0, from_s_k = 0;  // operands as they lie, bytes
  int64_t panel_step = 0;  // from one panel of the v side to the next, where it is not packed here
  GemmTileShape tile;      // of full tiles
  int32_t last_rows = 0, last_vectors = 0, last_tail = 0;
  int64_t panels = 0, row_tiles = 0;
  int64_t block_panels = 0, chunk = 0;  // panels packed at a time; steps along k of one call
  int64_t group_tiles = 1;              // row tiles of the s side packed at a time
  int64_t s_offset = 0, s_bytes = 0, totals_offset = 0, scratch_bytes = 0;

  GemmTileShape tile_shape(bool last_rows, bool last_panel) const;
  GemmTileShape shapes[2][2];  // all of tile_shape
  bool small = false;          // too little to cut, nothing to pack: only tiles
};

/// m, n, k > 0; each operand has a stride of 1 or a dimension of size 1. `bias`: n dense elements are added to every row.
/// `by_rows`: vectors along the rows of the result where that costs little more.
GemmPlan plan_product(const GemmShape& shape, const GemmRegisters& registers, bool bias, bool by_rows = false);

/// The same where b lies in panels already, one after another, each [k][width] with zeros for columns that are not there
/// (frozen_weight.h); width = lanes * tile.vectors, the same for any m. Not for what is_dot_product.
GemmPlan plan_over_panels(const GemmShape& shape, const GemmRegisters& registers, bool bias);

/// Equal products, one after the other in memory; strides in bytes.
struct GemmBatch {
  int64_t count = 1, a = 0, b = 0;
};

/// What tiles with an epilogue are given; null without.
struct GemmEpilogue {
  const void* const* operands = nullptr;
  const uint64_t* scalars = nullptr;
};

/// On as many threads as the work is worth. scratch: scratch_bytes, 64-byte aligned.
void run_products(const GemmPlan& plan, const GemmTiles& tiles, const GemmBatch& batch, const void* a, const void* b,
                  const void* bias, void* c, void* scratch, const GemmEpilogue& epilogue = {});

}  // namespace sinter

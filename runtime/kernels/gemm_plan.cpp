#include "gemm_plan.h"
#include <algorithm>
#include "../mutants.h"
#include "gemm_order.h"

namespace sinter {

namespace {

constexpr int64_t kPackedBytes = 512 << 10;  // of the v side at a time: half of a second-level cache
constexpr int64_t kChunk = 4 * kGemmBlock;   // steps along k of one call where k is long
constexpr int64_t kFewRows = 16;             // rows of the s side up to which packing the v side does not pay
constexpr int64_t kSmallWork = 100'000;      // multiply-adds that take a few microseconds
constexpr int64_t kSmallBytes = 16 << 10;    // of the v side: stays in the first cache however it lies
constexpr double kRowsWorth = 1.15;          // of a pass over memory that vectors along rows save
constexpr int64_t kGroupBytes = 128 << 10;   // of the s side packed at a time

int64_t up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

/// Cost in vector multiply-adds, with measured weights for copies: which side runs along the vectors. One vector alone is read
/// from memory as often as the broadcasts.
double cost(const GemmShape& p, const GemmRegisters& r, bool swapped) {
  const int64_t v = swapped ? p.m : p.n, s = swapped ? p.n : p.m;
  const bool dense = (swapped ? p.a_row : p.b_col) == 1 || v == 1;
  const double vectors = static_cast<double>(ceil_div(v, r.lanes)), k = static_cast<double>(p.k);
  return (vectors == 1 ? 1.25 : vectors) * static_cast<double>(std::max<int64_t>(s, 2)) * k +
         k * static_cast<double>(v) * (dense ? 0.06 : 0.35) +
         (swapped ? 0.6 * static_cast<double>(v) * static_cast<double>(s) : 0.0);
}

void choose_sides(GemmPlan& plan, const GemmShape& p, bool swapped) {
  const int64_t e = plan.element;
  plan.swapped = swapped;
  plan.k = p.k;
  plan.v = swapped ? p.m : p.n;
  plan.s = swapped ? p.n : p.m;
  plan.from_v_v = e * (swapped ? p.a_row : p.b_col);
  plan.from_v_k = e * (swapped ? p.a_col : p.b_row);
  plan.from_s_s = e * (swapped ? p.b_col : p.a_row);
  plan.from_s_k = e * (swapped ? p.b_row : p.a_col);
  plan.tile.c_v = swapped ? e * p.n : e;
  plan.tile.c_s = swapped ? e : e * p.n;
}

/// The tile's sizes: as few row tiles and panels as there must be, all about equal.
void choose_tile(GemmPlan& plan, const GemmRegisters& r) {
  GemmTileShape& t = plan.tile;
  plan.lanes = r.lanes;
  plan.row_tiles = ceil_div(plan.s, r.rows);
  t.rows = static_cast<int32_t>(ceil_div(plan.s, plan.row_tiles));
  if (plan.swapped && plan.row_tiles > 1) t.rows = static_cast<int32_t>(std::min<int64_t>(up(t.rows, 4), r.rows));
  plan.row_tiles = ceil_div(plan.s, t.rows);
  plan.last_rows = static_cast<int32_t>(plan.s - (plan.row_tiles - 1) * t.rows);
  const int64_t vectors = ceil_div(plan.v, r.lanes);
  plan.panels = ceil_div(vectors, r.vectors[t.rows]);
  t.vectors = static_cast<int32_t>(ceil_div(vectors, plan.panels));
  plan.panels = ceil_div(vectors, t.vectors);
  plan.last_vectors = static_cast<int32_t>(vectors - (plan.panels - 1) * t.vectors);
  plan.last_tail = static_cast<int32_t>(plan.v % r.lanes);
}

void choose_packing(GemmPlan& plan, const GemmRegisters& r, bool panels) {
  GemmTileShape& t = plan.tile;
  const int64_t e = plan.element, width = e * r.lanes * t.vectors;
  if (panels) plan.from_v_k = width;
  plan.panel_step = panels && !SINTER_MUTANT(frozen_panel_step) ? plan.k * width : plan.from_v_v * r.lanes * t.vectors;
  const bool dense = plan.from_v_v == e || plan.v == 1;
  const bool lies_as_packed = plan.panels == 1 && plan.from_v_k == width;
  plan.pack_v = !panels && (!dense || (plan.last_tail != 0 && !r.masks_loads) ||
                            (!lies_as_packed && plan.s > kFewRows && plan.k * plan.from_v_k > kSmallBytes));
  t.v_k = plan.pack_v ? width : plan.from_v_k;
  t.fetch_v = panels;
  t.mask_loads = !plan.pack_v && !panels;
  plan.chunk = plan.k > 2 * kChunk ? kChunk : plan.k;
  plan.block_panels =
      plan.pack_v || panels ? std::clamp<int64_t>(kPackedBytes / (plan.chunk * width), 1, plan.panels) : plan.panels;
  // Elements that are neighbours along s lie on one cache line for each k: packed where they are read more than once.
  const bool along_k = plan.from_s_k == e || plan.k == 1;
  plan.pack_s = !along_k && plan.panels > 1 && plan.from_s_k > 4 * e * t.rows && plan.k > 64;
  t.fetch_rows = along_k && plan.panels <= 2 && plan.s * plan.k * e > kPackedBytes;
  plan.group_tiles = std::clamp<int64_t>(kGroupBytes / (plan.chunk * e * t.rows), 1, std::min<int64_t>(plan.row_tiles, 8));
  t.s_s = plan.pack_s ? e : plan.from_s_s;
  t.s_k = plan.pack_s ? e * t.rows : plan.from_s_k;
}

void choose_scratch(GemmPlan& plan) {
  const GemmTileShape& t = plan.tile;
  const int64_t e = plan.element, width = e * plan.lanes * t.vectors;
  plan.s_offset = plan.pack_v ? up(plan.block_panels * plan.chunk * width, 64) : 0;
  plan.s_bytes = plan.pack_s ? up(plan.group_tiles * plan.chunk * e * t.rows, 64) : 0;
  plan.totals_offset = plan.s_offset + plan.s_bytes;
  plan.scratch_bytes = plan.totals_offset + (plan.chunk < plan.k ? plan.row_tiles * plan.block_panels * t.rows * width : 0);
}

void plan_dot(GemmPlan& plan, const GemmShape& p, const GemmRegisters& r) {
  choose_sides(plan, p, p.m > p.n);  // the s side is the smaller one
  GemmTileShape& t = plan.tile;
  plan.dot = true;
  plan.row_tiles = ceil_div(plan.s, r.dot_rows);
  t.rows = static_cast<int32_t>(ceil_div(plan.s, plan.row_tiles));
  plan.last_rows = static_cast<int32_t>(plan.s - (plan.row_tiles - 1) * t.rows);
  plan.panels = ceil_div(plan.v, r.dot_columns[t.rows]);
  t.vectors = static_cast<int32_t>(std::min<int64_t>(plan.v, r.dot_columns[t.rows]));
  plan.last_vectors = static_cast<int32_t>(plan.v - (plan.panels - 1) * t.vectors);
  plan.lanes = 1;
  plan.block_panels = plan.panels;
  plan.chunk = plan.k;
  t.v_k = plan.from_v_v;
  t.s_s = plan.from_s_s;
  plan.panel_step = plan.from_v_v * t.vectors;
}

void plan_chain(GemmPlan& plan, const GemmShape& p, const GemmRegisters& r, bool swapped, bool panels) {
  choose_sides(plan, p, swapped);
  plan.blocks = p.k > kGemmBlock;
  choose_tile(plan, r);
  choose_packing(plan, r, panels);
  choose_scratch(plan);
}

void finish(GemmPlan& plan, bool bias) {
  plan.tile.bias_s = bias && plan.swapped;
  plan.tile.bias_v = bias && !plan.swapped;
  for (const int i : {0, 1})
    for (const int j : {0, 1}) plan.shapes[i][j] = plan.tile_shape(i, j);
  plan.small = plan.scratch_bytes == 0 && plan.v * plan.s * plan.k < kSmallWork;
}

}  // namespace

GemmTileShape GemmPlan::tile_shape(bool at_last_rows, bool at_last_panel) const {
  GemmTileShape t = tile;
  if (at_last_rows) t.rows = last_rows;
  if (at_last_panel) t.vectors = last_vectors, t.tail = last_tail;
  return t;
}

GemmPlan plan_product(const GemmShape& p, const GemmRegisters& r, bool bias, bool by_rows) {
  GemmPlan plan;
  plan.element = static_cast<int32_t>(element_size(p.dtype));
  if (is_dot_product(p.m, p.n, p.k, p.a_col, p.b_row)) plan_dot(plan, p, r);
  else plan_chain(plan, p, r, cost(p, r, true) * (by_rows ? kRowsWorth : 1.0) < cost(p, r, false), /*panels=*/false);
  finish(plan, bias);
  return plan;
}

GemmPlan plan_over_panels(const GemmShape& p, const GemmRegisters& r, bool bias) {
  GemmPlan plan;
  plan.element = static_cast<int32_t>(element_size(p.dtype));
  GemmRegisters two = r;  // vectors a panel: what the largest tiles take, for any number of rows
  for (int8_t& n : two.vectors) n = std::min<int8_t>(n, 2);
  plan_chain(plan, p, two, /*swapped=*/false, /*panels=*/true);
  finish(plan, bias);
  return plan;
}

}  // namespace sinter

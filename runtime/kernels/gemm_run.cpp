// The loops around the tiles of a matrix product, over threads.
#include <algorithm>
#include "../error.h"
#include "../mutants.h"
#include "../threads.h"
#include "gemm_pack.h"
#include "gemm_plan.h"
#include "scratch.h"

namespace sinter {

namespace {

constexpr int kTotalsBytes = 2048;  // of one tile: at most 24 vectors of 64 bytes

/// Memory of each worker beside that of the caller; none when it cannot be had, and then there is one worker.
class WorkerMemory {
 public:
  WorkerMemory(void* first, int64_t bytes, int workers) : first_(static_cast<char*>(first)), bytes_(bytes) {
    if (workers < 2 || bytes == 0) return;
    try {
      more_ = static_cast<char*>(scratch_.bytes(static_cast<size_t>(bytes * (workers - 1))));
    } catch (const OutOfMemoryError&) { alone_ = true; }
  }
  bool alone() const { return alone_; }
  char* of(int worker) const { return worker == 0 ? first_ : more_ + (worker - 1) * bytes_; }

 private:
  Scratch scratch_;
  char *first_, *more_ = nullptr;
  int64_t bytes_;
  bool alone_ = false;
};

/// The tasks one after another, or on threads.
template <class F>
void for_tasks(int64_t tasks, bool threads, F f) {
  if (threads) return parallel_for(tasks, f);
  for (int64_t i = 0; i < tasks; ++i) f(i, 0);
}

int64_t time_of(const GemmPlan& p) {
  return estimated_ns((p.v * p.k + p.s * p.k + p.v * p.s) * p.element, 2 * p.v * p.s * p.k * p.element / 4);
}

/// The loops of one product. Addresses are moved by bytes.
class Run {
 public:
  /// `first`: number of the result's first element in the batch.
  Run(const GemmPlan& plan, const GemmTiles& tiles, const void* a, const void* b, const void* bias, void* c, void* scratch,
      const GemmEpilogue& epilogue, int64_t first)
      : p_(plan),
        tiles_(tiles),
        v_(static_cast<const char*>(plan.swapped ? a : b)),
        s_(static_cast<const char*>(plan.swapped ? b : a)),
        bias_(static_cast<const char*>(bias)),
        c_(static_cast<char*>(c)),
        scratch_(static_cast<char*>(scratch)),
        epilogue_(epilogue),
        first_(first) {}

  void run_small() const {
    const Part all{0, p_.panels, 0, p_.k};
    for (int64_t i = 0; i < p_.row_tiles; ++i) run_row_tile(i, all, all, nullptr);
  }

  void run(int64_t pieces) {
    const WorkerMemory packed_rows(scratch_ + p_.s_offset, p_.s_bytes, pieces > 1 ? get_num_threads() : 1);
    if (packed_rows.alone()) pieces = 1;
    const int64_t pack_pieces = pieces > 1 ? pieces_for(estimated_ns(4 * p_.v * p_.k * p_.element, 0), p_.panels) : 1;
    for (int64_t first = 0; first < p_.panels; first += p_.block_panels) {
      const int64_t end = std::min(first + p_.block_panels, p_.panels);
      for (int64_t k = 0; k < p_.k; k += p_.chunk) {
        const Part part{first, end, k, std::min(p_.chunk, p_.k - k)};
        if (const int64_t groups = panel_groups(end - first, pieces); groups > 1) {
          run_by_panels(part, groups);
          continue;
        }
        if (p_.pack_v) for_tasks(end - first, pack_pieces > 1, [&](int64_t j, int) { pack_panel_of(part, first + j); });
        run_part(part, pieces, packed_rows);
      }
    }
  }

 private:
  /// Panels [first, end), steps [k, k + length).
  struct Part {
    int64_t first, end, k, length;
  };

  int64_t panel_width() const { return int64_t{p_.lanes} * p_.tile.vectors; }
  char* packed_panel(const Part& part, int64_t j) const {
    return scratch_ + (j - part.first) * p_.chunk * panel_width() * p_.element;
  }

  void pack_panel_of(const Part& part, int64_t j) const {
    const int64_t width = panel_width(), columns = std::min(width, p_.v - j * width);
    pack_panel({v_ + j * width * p_.from_v_v + part.k * p_.from_v_k, p_.from_v_k, p_.from_v_v, p_.element}, part.length, columns,
               width, packed_panel(part, j));
  }

  /// Panels are packed by the thread that reads them, which fetches no line that another core wrote, and nobody waits for all of
  /// the packing. How many groups of panels; 1: groups that are not equal would cost more than that saves.
  int64_t panel_groups(int64_t panels, int64_t pieces) const {
    if (pieces < 2 || !p_.pack_v || p_.pack_s) return 1;
    for (const int64_t groups : {pieces, int64_t{get_num_threads()}})
      if (groups <= pieces && (panels % groups == 0 || panels >= 8 * groups)) return groups;
    return 1;
  }
  void run_by_panels(const Part& part, int64_t pieces) const {
    const int64_t panels = part.end - part.first;
    for_tasks(pieces, true, [&](int64_t task, int) {
      const Part mine{part.first + panels * task / pieces, part.first + panels * (task + 1) / pieces, part.k, part.length};
      for (int64_t j = mine.first; j < mine.end; ++j) pack_panel_of(part, j);
      for (int64_t i = 0; i < p_.row_tiles; ++i) run_row_tile(i, part, mine, nullptr);
    });
  }

  /// Cut along the row tiles (groups of them, where they are packed together), and along the panels where those are too few.
  void run_part(const Part& part, int64_t pieces, const WorkerMemory& packed_rows) const {
    const int64_t unit = p_.pack_s ? p_.group_tiles : 1, units = (p_.row_tiles + unit - 1) / unit, panels = part.end - part.first;
    const int64_t by_rows = std::min(pieces, units), by_panels = std::min((pieces + by_rows - 1) / by_rows, panels);
    for_tasks(by_rows * by_panels, by_rows * by_panels > 1, [&](int64_t task, int worker) {
      const int64_t r = task / by_panels, q = task % by_panels;
      const Part mine{part.first + panels * q / by_panels, part.first + panels * (q + 1) / by_panels, part.k, part.length};
      const int64_t end = std::min(units * (r + 1) / by_rows * unit, p_.row_tiles);
      for (int64_t i = units * r / by_rows * unit; i < end; ++i) run_row_tile(i, part, mine, packed_rows.of(worker));
    });
  }

  int64_t tile_of_s() const { return p_.chunk * p_.element * p_.tile.rows; }
  /// The row tiles from i on, as many as a group has: read side by side, as lines hold elements of several.
  void pack_rows(int64_t i, const Part& part, char* to) const {
    const int64_t rows = p_.tile.rows, end = std::min(i + p_.group_tiles, p_.row_tiles);
    constexpr int64_t kSteps = 64;
    for (int64_t q = 0; q < part.length; q += kSteps)
      for (int64_t j = i; j < end; ++j)
        pack_panel({s_ + j * rows * p_.from_s_s + (part.k + q) * p_.from_s_k, p_.from_s_k, p_.from_s_s, p_.element},
                   std::min(kSteps, part.length - q), j == p_.row_tiles - 1 ? p_.last_rows : rows, rows,
                   to + (j - i) * tile_of_s() + q * rows * p_.element);
  }

  void run_row_tile(int64_t i, const Part& part, const Part& mine, char* packed) const {
    alignas(64) char totals[kTotalsBytes];
    const bool last_rows = i == p_.row_tiles - 1, chunked = p_.chunk < p_.k;
    const char* s = s_ + i * p_.tile.rows * p_.from_s_s + part.k * p_.from_s_k;
    if (p_.pack_s) {
      const int64_t at = i % p_.group_tiles;
      if (at == 0) pack_rows(i, part, packed);
      s = packed + at * tile_of_s();
    }
    const int64_t width = panel_width();
    const int64_t tile_bytes = p_.tile.rows * width * p_.element;
    GemmTile t;
    t.s = s;
    t.k = part.length;
    t.earlier = part.k > 0 && !SINTER_MUTANT(gemm_chunks_start_anew);
    t.more = part.k + part.length < p_.k;
    t.bias = nullptr;
    for (int64_t j = mine.first; j < mine.end; ++j) {
      const bool last_panel = j == p_.panels - 1;
      t.v = p_.pack_v ? packed_panel(part, j) : v_ + j * p_.panel_step + part.k * p_.from_v_k;
      t.c = c_ + i * p_.tile.rows * p_.tile.c_s + j * width * p_.tile.c_v;
      if (bias_)
        t.bias = bias_ + (p_.swapped ? i * p_.tile.rows : SINTER_MUTANT(gemm_bias_of_first_panel) ? 0 : j * width) * p_.element;
      t.totals = chunked ? scratch_ + p_.totals_offset + (i * p_.block_panels + j - part.first) * tile_bytes : totals;
      t.shape = &p_.shapes[last_rows][last_panel];
      if (epilogue_.operands) place_epilogue(t, i * p_.tile.rows, j * width);
      tiles_.fn[last_rows][last_panel](&t);
    }
  }

  void place_epilogue(GemmTile& t, int64_t s, int64_t v) const {
    t.operands = epilogue_.operands;
    t.scalars = epilogue_.scalars;
    t.column = p_.swapped ? s : v;
    t.at = first_ + (p_.swapped ? v * p_.s : s * p_.v) + t.column;
  }

  const GemmPlan& p_;
  const GemmTiles& tiles_;
  const char *v_, *s_, *bias_;
  char *c_, *scratch_;
  const GemmEpilogue& epilogue_;
  int64_t first_;
};

}  // namespace

void run_products(const GemmPlan& plan, const GemmTiles& tiles, const GemmBatch& batch, const void* a, const void* b,
                  const void* bias, void* c, void* scratch, const GemmEpilogue& epilogue) {
  if (plan.small && batch.count == 1) [[likely]]
    return Run(plan, tiles, a, b, bias, c, scratch, epilogue, 0).run_small();
  const int64_t ns = time_of(plan), c_step = plan.v * plan.s * plan.element;
  const auto run = [&](int64_t i, void* memory, int64_t pieces) {
    Run(plan, tiles, static_cast<const char*>(a) + i * batch.a, static_cast<const char*>(b) + i * batch.b, bias,
        static_cast<char*>(c) + i * c_step, memory, epilogue, i * plan.v * plan.s)
        .run(pieces);
  };
  if (batch.count > 1 && pieces_for(batch.count * ns, batch.count) > 1) {
    const WorkerMemory memory(scratch, plan.scratch_bytes, get_num_threads());
    return for_tasks(batch.count, !memory.alone(), [&](int64_t i, int worker) { run(i, memory.of(worker), 1); });
  }
  for (int64_t i = 0; i < batch.count; ++i) run(i, scratch, pieces_for(ns, plan.row_tiles * plan.panels));
}

}  // namespace sinter

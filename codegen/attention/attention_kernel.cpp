#include "attention_kernel.h"
#include <fmt/format.h>
#include <algorithm>
#include "../../runtime/kernels/gemm_order.h"
#include "../disassemble.h"

namespace sinter::codegen {

namespace {

/// Registers of a tile: as many sums as hide the latency of the multiply-adds. The rows divide causal blocks and the eager
/// kernel's tiles, the vectors make up its panels.
constexpr int64_t rows_of(Isa isa) { return isa == Isa::Avx512 ? 8 : 4; }

/// A tile of chains over `k` steps.
TileSpec tile_spec(const AttentionShape& s, int64_t rows, int64_t columns, int64_t k) {
  const int64_t lanes = tile_registers(s.isa, s.dtype).lanes;
  TileSpec spec;
  spec.dtype = s.dtype;
  spec.isa = s.isa;
  spec.blocks = k > kGemmBlock;
  spec.shape.rows = static_cast<int32_t>(rows);
  spec.shape.vectors = static_cast<int32_t>((columns + lanes - 1) / lanes);
  spec.shape.tail = static_cast<int32_t>(columns % lanes);
  spec.shape.mask_loads = true;
  return spec;
}

class Emitter {
 public:
  Emitter(const AttentionShape& s, AttentionKernel& kernel, NoKernel& why)
      : s_(s), kernel_(kernel), why_(why), e_(static_cast<int64_t>(element_size(s.dtype))) {}

  bool emit() {
    const int64_t rows = rows_of(s_.isa);
    kernel_.tiles.isa = s_.isa;
    kernel_.tiles.rows = rows;
    kernel_.tiles.panel = s_.panel;
    for (const bool last : {false, true}) {
      const int64_t n = last ? s_.queries % rows : rows;
      if (n == 0 || n > s_.queries) continue;
      if (s_.keys >= s_.panel) kernel_.tiles.scores[0][last] = scores(n, s_.panel);
      if (s_.keys % s_.panel != 0) kernel_.tiles.scores[1][last] = scores(n, s_.keys % s_.panel);
      if (s_.width >= s_.panel) kernel_.tiles.values[0][last] = values(n, s_.panel);
      if (s_.width % s_.panel != 0) kernel_.tiles.values[1][last] = values(n, s_.width % s_.panel);
      if (!complete_) return false;
    }
    return true;
  }

 private:
  /// The last vector is whole: there is room behind the keys, in what is packed and in a row of scores.
  GemmTileFn scores(int64_t rows, int64_t keys) {
    TileSpec spec = tile_spec(s_, rows, keys, s_.depth);
    spec.shape.tail = 0;
    spec.shape.v_k = s_.panel * e_;
    spec.shape.s_k = e_;
    spec.shape.s_s = s_.q_row * e_;
    spec.shape.c_v = e_;
    spec.shape.c_s = s_.score_stride * e_;
    return take(fmt::format("scores of {} queries, {} keys", rows, keys), spec);
  }
  GemmTileFn values(int64_t rows, int64_t columns) {
    TileSpec spec = tile_spec(s_, rows, columns, s_.keys);
    spec.shape.v_k = s_.v_row * e_;
    spec.shape.s_k = e_;
    spec.shape.s_s = s_.score_stride * e_;
    spec.shape.c_v = e_;
    spec.shape.c_s = s_.out_row * e_;
    return take(fmt::format("results of {} queries, {} columns", rows, columns), spec);
  }
  GemmTileFn take(std::string what, const TileSpec& spec) {
    // Without masks a vector may not end where memory ends.
    if (spec.shape.tail != 0 && !tile_registers(s_.isa, s_.dtype).masks_loads) {
      why_ = NoKernel::NotEmittable;
      complete_ = false;
      return nullptr;
    }
    auto code = get_tile(spec, why_);
    if (!code) {
      complete_ = false;
      return nullptr;
    }
    kernel_.code.emplace_back(std::move(what), code);
    return code->fn;
  }

  const AttentionShape& s_;
  AttentionKernel& kernel_;
  NoKernel& why_;
  const int64_t e_;
  bool complete_ = true;
};

}  // namespace

std::shared_ptr<const AttentionKernel> get_attention(const AttentionShape& shape, NoKernel& why) {
  why = NoKernel::Refused;
  if (!jit_available()) return nullptr;
  why = NoKernel::None;
  auto kernel = std::make_shared<AttentionKernel>();
  kernel->shape = shape;
  if (!Emitter(shape, *kernel, why).emit()) return nullptr;
  return kernel;
}

std::string AttentionKernel::name() const { return fmt::format("attention_{}x{}x{}", shape.queries, shape.keys, shape.depth); }

size_t AttentionKernel::code_bytes() const {
  size_t n = 0;
  for (const auto& [what, tile] : code) n += tile->bytes;
  return n;
}

std::string AttentionKernel::disassembly() const {
  std::string text;
  for (const auto& [what, tile] : code)
    text += fmt::format("; {}\n{}", what, disassemble(reinterpret_cast<const uint8_t*>(tile->fn), tile->code_bytes));
  return text;
}

}  // namespace sinter::codegen

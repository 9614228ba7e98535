#include "product_kernel.h"
#include <fmt/format.h>
#include <xbyak/xbyak.h>
#include <mutex>
#include "../../runtime/at_fork.h"
#include "../../runtime/error.h"
#include "../../runtime/log.h"
#include "../../runtime/mutants.h"
#include "../code_memory.h"
#include "../disassemble.h"
#include "../weak_cache.h"

namespace sinter::codegen {

namespace {

struct Hasher {
  size_t operator()(const TileSpec& t) const {
    uint64_t h = static_cast<uint64_t>(t.dtype) * 8 + static_cast<uint64_t>(t.isa) * 2 + t.blocks;
    const auto mix = [&h](int64_t v) { h = (h ^ static_cast<uint64_t>(v)) * 0x9e3779b97f4a7c15u, h ^= h >> 29; };
    const GemmTileShape& s = t.shape;
    for (const int64_t v : {s.v_k, s.s_k, s.s_s, s.c_v, s.c_s, t.dot_k}) mix(v);
    mix(int64_t{s.rows} << 40 | int64_t{s.vectors} << 16 | int64_t{s.tail} << 3 | s.fetch_rows << 15 | s.fetch_v << 14 |
        s.mask_loads << 2 | s.bias_s << 1 | s.bias_v);
    return h;
  }
};

/// All of the spec, but for what a mutant leaves out.
TileSpec key_of(TileSpec spec) {
  if (SINTER_MUTANT(tile_key_without_isa)) spec.isa = Isa::None;
  if (SINTER_MUTANT(tile_key_without_tail)) spec.shape.tail = 0;
  if (SINTER_MUTANT(tile_key_without_strides)) spec.shape.s_s = spec.shape.v_k = 0;
  if (SINTER_MUTANT(tile_key_without_bias)) spec.shape.bias_s = spec.shape.bias_v = false;
  if (SINTER_MUTANT(tile_key_without_epilogue)) spec.epilogue = nullptr;
  return spec;
}

using Cache = WeakCache<TileSpec, TileCode, Hasher>;

/// Held while a tile is emitted, so that threads asking for one get one. Taken before code memory's.
constinit std::mutex cache_mutex;

/// The caller holds the mutex. Never destroyed: threads may compile while the process ends.
Cache& cache() {
  static constinit Cache* c = nullptr;
  if (!c) c = new Cache;
  return *c;
}

[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::tiles, [] { return &cache_mutex; });

/// Strides that no instruction can hold leave the product to its eager kernel.
std::shared_ptr<const TileCode> build(const TileSpec& spec, NoKernel& why) {
  EmittedTile tile;
  try {
    tile = emit_tile(spec);
  } catch (const Xbyak::Error& e) {
    why = NoKernel::NotEmittable;
    log(LogTopic::Program, "tile of a matrix product not generated: {}", e.what());
    return nullptr;
  } catch (const OutOfMemoryError&) { throw; } catch (const Error& e) {
    why = NoKernel::NotEmittable;
    log(LogTopic::Program, "epilogue of a matrix product not generated: {}", e.what());
    return nullptr;
  }
  NoCode no{};
  void* code = install_code(tile.bytes.data(), tile.bytes.size(), no);
  if (code) return std::make_shared<TileCode>(spec, code, tile);
  why = no == NoCode::Full ? NoKernel::CodeMemoryFull : no == NoCode::TooLarge ? NoKernel::NotEmittable : NoKernel::Refused;
  return nullptr;
}

/// One vector of 64 bytes would be loaded as often as broadcasts are; two of 32 bytes are not.
GemmPlan plan_for(const SettledProduct& p, Isa& level, bool by_rows) {
  GemmPlan plan = plan_product(p.shape, tile_registers(level, p.shape.dtype), p.bias >= 0, by_rows);
  if (level == Isa::Avx512 && !plan.dot && plan.tile.vectors == 1 && plan.s > 4) {
    level = Isa::Avx2;
    plan = plan_product(p.shape, tile_registers(level, p.shape.dtype), p.bias >= 0, by_rows);
  }
  return plan;
}

/// Sums along lanes have few elements in a register; down the rows, an operand would be read across them.
bool suits(const Epilogue& e, const GemmPlan& plan) {
  constexpr int64_t kFewElements = 64;  // a kernel of a few vectors takes less than gathering them
  return plan.dot ? !e.is_long() && plan.v * plan.s > kFewElements : !(plan.swapped && e.has_whole());
}

}  // namespace

std::shared_ptr<const TileCode> get_tile(const TileSpec& spec, NoKernel& why) {
  const std::lock_guard lock(cache_mutex);
  Cache& c = cache();
  const TileSpec key = key_of(spec);
  if (auto code = c.find(key)) return code;
  auto code = build(spec, why);
  if (code) c.put(key, code);
  return code;
}

void forget_dead_tiles() {
  const std::lock_guard lock(cache_mutex);
  cache().drop_dead();
}

TileCode::~TileCode() { free_code(reinterpret_cast<void*>(fn), bytes); }

std::shared_ptr<const ProductKernel> get_product(const SettledProduct& product, NoKernel& why,
                                                 std::shared_ptr<const Epilogue> epilogue) {
  why = NoKernel::Refused;
  if (!jit_available()) return nullptr;
  why = NoKernel::None;
  auto kernel = std::make_shared<ProductKernel>();
  kernel->product = product;
  kernel->level = isa();
  kernel->plan = plan_for(product, kernel->level, epilogue && epilogue->has_whole());
  kernel->epilogue = std::move(epilogue);
  if (kernel->epilogue && !suits(*kernel->epilogue, kernel->plan)) {
    why = NoKernel::NotEmittable;
    return nullptr;
  }
  return emit_tiles(*kernel, why) ? kernel : nullptr;
}

std::unique_ptr<const ProductKernel> plan_frozen(const ProductKernel& kernel) {
  const SettledProduct& p = kernel.product;
  constexpr int64_t kFewestRows = 3;  // fewer are limited by the loads of the weight, which may be wider where it lies
  if (kernel.plan.dot || p.shape.m < kFewestRows || (p.batch > 1 && p.b_batch != 0)) return nullptr;
  auto frozen = std::make_unique<ProductKernel>(kernel);
  frozen->tiles = {};
  for (auto& row : frozen->code)
    for (auto& tile : row) tile.reset();
  frozen->level = isa() == Isa::Avx512 && p.shape.n > tile_registers(Isa::Avx512, p.shape.dtype).lanes ? Isa::Avx512 : Isa::Avx2;
  frozen->plan = plan_over_panels(p.shape, tile_registers(frozen->level, p.shape.dtype), p.bias >= 0);
  return frozen;
}

bool emit_tiles(ProductKernel& kernel, NoKernel& why) {
  const GemmPlan& plan = kernel.plan;
  for (const int i : {0, 1})
    for (const int j : {0, 1}) {
      if ((plan.row_tiles == 1 && i == 0) || (plan.panels == 1 && j == 0)) continue;  // there is only the last
      kernel.code[i][j] = get_tile(tile_of(plan, kernel.product.shape.dtype, kernel.level, i, j, kernel.epilogue), why);
      if (!kernel.code[i][j]) return false;
      kernel.tiles.fn[i][j] = kernel.code[i][j]->fn;
      kernel.epilogue_flops = kernel.code[i][j]->element_flops;
    }
  return true;
}

void ProductKernel::run(const void* a, const void* b, const void* bias, void* c, void* scratch,
                        const GemmEpilogue& arguments) const {
  const int64_t e = plan.element;
  run_products(plan, tiles, {product.batch, product.a_batch * e, product.b_batch * e}, a, b, bias, c, scratch, arguments);
}

std::string ProductKernel::name() const {
  const GemmShape& s = product.shape;
  const std::string batch = product.batch == 1 ? "" : fmt::format("{}x", product.batch);
  return fmt::format("gemm_{}{}x{}x{}{}{}", batch, s.m, s.n, s.k, product.bias >= 0 ? "_bias" : "",
                     epilogue ? "_" + epilogue->name() : "");
}

size_t ProductKernel::code_bytes() const {
  size_t n = 0;
  for (const auto& row : code)
    for (const auto& tile : row) n += tile ? tile->bytes : 0;
  return n;
}

std::string ProductKernel::disassembly() const {
  std::string text;
  for (const auto& row : code)
    for (const auto& tile : row) {
      if (!tile) continue;
      const GemmTileShape& s = tile->spec.shape;
      text += plan.dot ? fmt::format("; tile of {} x {} elements, lanes along k\n", s.rows, s.vectors)
                       : fmt::format("; tile of {} rows, {} vectors{}\n", s.rows, s.vectors,
                                     s.tail ? fmt::format(", {} elements of the last", s.tail) : "");
      text += disassemble(reinterpret_cast<const uint8_t*>(tile->fn), tile->code_bytes);
    }
  return text;
}

}  // namespace sinter::codegen

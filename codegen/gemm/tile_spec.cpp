#include "tile_spec.h"
#include "epilogue.h"

namespace sinter::codegen {

namespace {

// Most vectors for 1, 2, ... rows: about 24 (AVX-512) and 12 sums, which hide the latency of the multiply-adds and leave room for
// operands. More than 8 rows would lie in one set of the first cache when rows are a page apart.
constexpr GemmRegisters kAvx512 = {16, 8, {0, 12, 8, 6, 4, 4, 3, 3, 2}, 8, {0, 8, 8, 6, 4, 4, 3, 3, 2}, true};
constexpr GemmRegisters kAvx2 = {8, 6, {0, 6, 4, 3, 2, 2, 2, 0, 0}, 4, {0, 4, 2, 1, 1, 0, 0, 0, 0}, false};

constexpr GemmRegisters halved(GemmRegisters r) {
  r.lanes /= 2;
  return r;
}
constexpr GemmRegisters kAvx512Double = halved(kAvx512), kAvx2Double = halved(kAvx2);

}  // namespace

const GemmRegisters& tile_registers(Isa isa, ScalarType dtype) {
  if (isa == Isa::Avx512) return dtype == ScalarType::Double ? kAvx512Double : kAvx512;
  return dtype == ScalarType::Double ? kAvx2Double : kAvx2;
}

bool operator==(const TileSpec& a, const TileSpec& b) {
  const auto same = [](const Epilogue* x, const Epilogue* y) { return x == y || (x && y && *x == *y); };
  return a.dtype == b.dtype && a.isa == b.isa && a.shape == b.shape && a.blocks == b.blocks && a.dot_k == b.dot_k &&
         a.swapped == b.swapped && same(a.epilogue.get(), b.epilogue.get());
}

TileSpec tile_of(const GemmPlan& plan, ScalarType dtype, Isa isa, bool last_rows, bool last_panel,
                 std::shared_ptr<const Epilogue> epilogue) {
  TileSpec spec;
  spec.dtype = dtype;
  spec.isa = isa;
  spec.shape = plan.shapes[last_rows][last_panel];
  spec.blocks = plan.blocks;
  spec.dot_k = plan.dot ? plan.k : 0;
  spec.swapped = epilogue && plan.swapped;
  spec.epilogue = std::move(epilogue);
  return spec;
}

EmittedTile emit_tile(const TileSpec& spec) { return spec.dot_k > 0 ? emit_dot_tile(spec) : emit_chain_tile(spec); }

}  // namespace sinter::codegen

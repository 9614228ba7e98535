// Copies: contiguous, strided, transposed, converting.
#include <algorithm>
#include <cstring>
#include "../cpu.h"
#include "../error.h"
#include "../mutants.h"
#include "isa/pointwise_run.h"
#include "nest.h"
#include "pointwise.h"

namespace sinter {

namespace {

using CopyNest = Nest<2>;
// Transposed copies go by tiles: a cache line of the source (4-byte elements) from each of 64 rows, so that every page of
// the result that is touched gets a few whole lines at a time.
constexpr int64_t kTileRows = 64, kTileColumns = 16;

ConvertFn convert_fn(ScalarType dst, ScalarType src) {
  switch (isa()) {
    case Isa::Avx512:
      return v4::find_convert(dst, src);
    case Isa::Avx2:
      return v3::find_convert(dst, src);
    default:
      return v2::find_convert(dst, src);
  }
}

/// tile[c][r] = src[r * stride + c]; T: an unsigned integer of the element's size.
template <class T>
void read_tile(T* tile, const T* src, int64_t stride, int64_t rows, int64_t columns) {
  if (columns == kTileColumns) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < kTileColumns; ++c) tile[c * kTileRows + r] = src[r * stride + c];
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) tile[c * kTileRows + r] = src[r * stride + c];
}

/// The result is contiguous along dimension 0, the source along `fast`: each tile is turned in a small buffer.
template <class T>
void copy_tiles(char* dst, size_t dst_size, const char* source, const CopyNest& nest, int fast, ConvertFn convert) {
  const T* src = reinterpret_cast<const T*>(source);
  const int64_t across = nest.stride[0][fast] * static_cast<int64_t>(dst_size), along = nest.stride[1][0];
  T tile[kTileRows * kTileColumns];
  for (int64_t i = 0; i < nest.size[0]; i += kTileRows) {
    const int64_t rows = SINTER_MUTANT(copy_tiles_never_short) ? kTileRows : std::min(kTileRows, nest.size[0] - i);
    for (int64_t j = 0; j < nest.size[fast]; j += kTileColumns) {
      const int64_t columns = std::min(kTileColumns, nest.size[fast] - j);
      read_tile(tile, src + i * along + j, along, rows, columns);
      char* row = dst + i * static_cast<int64_t>(dst_size) + j * across;
      for (int64_t c = 0; c < columns; ++c, row += across) convert(row, 1, tile + c * kTileRows, 1, rows);
    }
  }
}

/// The dimension in which the source is contiguous while the result is contiguous in dimension 0; 0: none.
int transposed_dimension(const CopyNest& nest) {
  if (nest.stride[0][0] != 1 || nest.stride[1][0] <= 1 || nest.size[0] < 4) return 0;
  for (int d = 1; d < nest.rank; ++d)
    if (nest.stride[1][d] == 1 && nest.size[d] >= 4) return d;
  return 0;
}

}  // namespace

void copy_strided(TensorView dst, TensorView src) {
  const TensorView* views[] = {&dst, &src};
  CopyNest nest;
  nest.build(views, 2);
  if (nest.empty) return;
  const size_t dst_size = element_size(dst.dtype), src_size = element_size(src.dtype);
  const bool bytes = dst.dtype == src.dtype && nest.stride[0][0] == 1 && nest.stride[1][0] == 1;
  if (bytes && nest.rank == 1) {
    if (dst.data != src.data) std::memcpy(dst.data, src.data, static_cast<size_t>(nest.size[0]) * dst_size);
    return;
  }
  const ConvertFn convert = convert_fn(dst.dtype, src.dtype);
  if (!convert) raise<DtypeError>("copy: cannot convert {} to {}", dtype_name(src.dtype), dtype_name(dst.dtype));
  char* to = dst.as<char>();
  const char* from = src.as<char>();
  const int fast = transposed_dimension(nest);
  CopyNest outer = nest;
  if (fast) {  // the tile covers dimension `fast`; the loops go over the others
    outer.size[fast] = 1;
    outer.stride[0][fast] = outer.stride[1][fast] = 0;
  }
  outer.for_each_run(2, [&](const int64_t* offset) {
    char* d = to + offset[0] * static_cast<int64_t>(dst_size);
    const char* s = from + offset[1] * static_cast<int64_t>(src_size);
    if (fast && src_size == 4) copy_tiles<uint32_t>(d, dst_size, s, nest, fast, convert);
    else if (fast && src_size == 8) copy_tiles<uint64_t>(d, dst_size, s, nest, fast, convert);
    else if (fast) copy_tiles<uint8_t>(d, dst_size, s, nest, fast, convert);
    else convert(d, nest.stride[0][0], s, nest.stride[1][0], nest.size[0]);
  });
}

void run_cast(const KernelArgs& args) { copy_strided(args.out, args.in[args.op == Op::copy_ ? 1 : 0]); }

void run_fill(const KernelArgs& args) {
  uint64_t bits = scalar_bits(args.scalars[0], args.out.dtype);
  copy_strided(args.out, {&bits, args.out.dtype, {}, {}});
}

}  // namespace sinter

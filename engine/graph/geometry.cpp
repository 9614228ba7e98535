#include "geometry.h"
#include <algorithm>
#include "../../runtime/mutants.h"

namespace sinter {

int64_t extent_of(IntArrayRef sizes, IntArrayRef strides) {
  int64_t last = 0;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) return 0;
    last += (sizes[d] - 1) * strides[d];
  }
  return last + 1;
}

bool may_repeat(IntArrayRef sizes, IntArrayRef strides) {
  std::vector<size_t> order;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 0) return false;
    if (sizes[d] > 1) order.push_back(d);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return strides[a] < strides[b]; });
  int64_t reach = 0;  // of the inner dimensions: the next must step over it
  for (size_t d : order) {
    if (strides[d] <= reach) return true;
    reach += (sizes[d] - 1) * strides[d];
  }
  return false;
}

int64_t buffer_bytes(const TensorMeta& meta) {
  return extent_of(meta.sizes, meta.strides) * static_cast<int64_t>(element_size(meta.dtype));
}

bool same_geometry(const TensorMeta& a, const TensorMeta& b) {
  if (a.dtype != b.dtype || !(a.sizes == b.sizes)) return false;
  if (numel_of(a.sizes) == 0) return true;
  if (a.offset != b.offset && !SINTER_MUTANT(geometry_without_offset)) return false;
  return same_strides(a.sizes, a.strides, b.strides) || SINTER_MUTANT(geometry_without_strides);
}

SizeVec expanded_strides(const TensorMeta& meta, IntArrayRef sizes) {
  SizeVec strides;
  strides.resize(sizes.size());
  const size_t shift = sizes.size() - meta.sizes.size();
  for (size_t d = shift; d < sizes.size(); ++d)
    strides[d] =
        meta.sizes[d - shift] == 1 && sizes[d] != 1 && !SINTER_MUTANT(copy_source_not_broadcast) ? 0 : meta.strides[d - shift];
  return strides;
}

bool view_dims(const TensorMeta& view, const TensorMeta& base, int8_t* to_base) {
  if (view.offset != 0 || view.dtype != base.dtype) return false;
  uint64_t used = 0;
  for (size_t d = 0; d < view.sizes.size(); ++d) {
    to_base[d] = -1;
    if (view.sizes[d] == 1 || view.strides[d] == 0) continue;
    size_t k = 0;
    while (k < base.sizes.size() && ((used >> k & 1) || base.sizes[k] != view.sizes[d] || base.strides[k] != view.strides[d]))
      ++k;
    if (k == base.sizes.size()) return false;
    used |= 1ull << k;
    to_base[d] = static_cast<int8_t>(k);
  }
  for (size_t k = 0; k < base.sizes.size(); ++k)
    if (base.sizes[k] != 1 && !(used >> k & 1)) return false;
  return true;
}

bool is_plain(const TensorMeta& meta) { return meta.offset == 0 && is_contiguous(meta.sizes, meta.strides); }

}  // namespace sinter

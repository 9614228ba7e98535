#include "sizes.h"
#include <numeric>
#include "error.h"
#include "mutants.h"

namespace sinter {

std::string to_string(IntArrayRef sizes) {
  std::string s = "[";
  for (size_t i = 0; i < sizes.size(); ++i) s += (i ? ", " : "") + std::to_string(sizes[i]);
  return s + "]";
}

int64_t checked_numel(IntArrayRef sizes) {
  int64_t n = 1;
  bool empty = false, overflow = false;
  for (int64_t d : sizes) {
    if (d < 0) raise<ShapeError>("a negative size: {}", to_string(sizes));
    empty |= d == 0;
    overflow |= __builtin_mul_overflow(n, d == 0 ? 1 : d, &n);
  }
  // [2^62, 2^62, 0] is empty in PyTorch too, but its strides would not fit: refused.
  if (overflow) raise<ShapeError>("the number of elements of {} does not fit into 63 bits", to_string(sizes));
  return empty ? 0 : n;
}

int64_t numel_of(IntArrayRef sizes) {
  int64_t n = 1;
  for (int64_t d : sizes) n *= d;
  return n;
}

SizeVec contiguous_strides(IntArrayRef sizes) {
  SizeVec strides;
  strides.resize(sizes.size());
  int64_t step = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(sizes[i], 1);
  }
  return strides;
}

bool is_contiguous(IntArrayRef sizes, IntArrayRef strides) {
  int64_t expected = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] == 0) return true;
    if (sizes[i] == 1) continue;
    if (strides[i] != expected) expected = -1;
    if (expected >= 0) expected *= sizes[i];
  }
  if (expected >= 0) return true;
  return std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
}

bool is_non_overlapping_and_dense(IntArrayRef sizes, IntArrayRef strides) {
  // Insertion into a stack array: this runs in the checks of eager calls.
  size_t order[kMaxRank];
  size_t n = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) return true;
    if (sizes[i] == 1) continue;
    size_t at = n++;
    for (; at > 0 && strides[i] < strides[order[at - 1]]; --at) order[at] = order[at - 1];
    order[at] = i;
  }
  int64_t expected = 1;
  for (size_t k = 0; k < n; ++k) {
    if (strides[order[k]] != expected && !SINTER_MUTANT(holes_count_as_dense)) return false;
    expected *= sizes[order[k]];
  }
  return true;
}

}  // namespace sinter

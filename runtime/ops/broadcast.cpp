// Common shapes, and the strides of pointwise results.
#include "broadcast.h"
#include <utility>
#include "../mutants.h"
#include "infer.h"

namespace sinter {

namespace {

constexpr int kFits = -1;

/// Widens `sizes` by `other`; returns the dimension (of the result) that does not fit, or kFits.
int broadcast_into(SizeVec& sizes, IntArrayRef other) {
  if (IntArrayRef(sizes) == other) return kFits;
  if (sizes.size() >= other.size()) {
    const size_t pad = sizes.size() - other.size();
    for (size_t i = 0; i < other.size(); ++i) {
      int64_t& a = sizes[pad + i];
      if (a == other[i] || other[i] == 1) continue;
      if (a != 1) return static_cast<int>(pad + i);
      a = other[i];
    }
    return kFits;
  }
  const size_t n = other.size(), pad = n - sizes.size();
  SizeVec wide(other);
  for (size_t i = pad; i < n; ++i) {
    const int64_t a = sizes[i - pad], b = other[i];
    if (a != b && a != 1 && b != 1) return static_cast<int>(i);
    wide[i] = a == 1 ? b : a;
  }
  sizes = wide;
  return kFits;
}

int64_t size_at(IntArrayRef sizes, int dim, size_t rank) {
  const size_t pad = rank - sizes.size();
  return static_cast<size_t>(dim) < pad ? 1 : sizes[static_cast<size_t>(dim) - pad];
}

SizeVec broadcast(std::span<TensorImpl* const> operands, const auto& named) {
  SizeVec sizes;
  bool first = true;
  for (const TensorImpl* t : operands) {
    if (!t) continue;
    if (std::exchange(first, false)) {
      sizes = t->sizes;
      continue;
    }
    const int bad = broadcast_into(sizes, t->sizes);
    if (bad == kFits) continue;
    const size_t rank = std::max(sizes.size(), t->sizes.size());
    throw ShapeError(named() + fmt::format(": The size of tensor a ({}) must match the size of tensor b ({}) at "
                                           "non-singleton dimension {}",
                                           size_at(sizes, bad, rank), size_at(t->sizes, bad, rank), bad));
  }
  return sizes;
}

/// Which of two dimensions is the inner one for an operand: < 0 the first, > 0 the second, 0 undecided.
int compare_dims(IntArrayRef sizes, std::span<TensorImpl* const> operands, int d0, int d1) {
  const auto stride = [&](const TensorImpl* t, int d) -> int64_t {
    const int own = d - static_cast<int>(sizes.size() - t->sizes.size());
    if (own < 0 || t->sizes[own] == 1) return 0;
    return t->strides[own];
  };
  for (const TensorImpl* t : operands) {
    if (!t) continue;
    const int64_t s0 = stride(t, d0), s1 = stride(t, d1);
    if (s0 == 0 || s1 == 0) continue;  // broadcast here: the next operand decides
    if (s0 != s1) return s0 < s1 ? -1 : 1;
    if (sizes[d0] > sizes[d1]) return 1;
  }
  return 0;
}

/// The stride of a dimension of size 1 reaches no element and is no guard, so results do not take it over from their operands (as
/// PyTorch does from dense ones): they have what such a dimension has in memory of their order, behind its inner neighbour.
SizeVec settled(IntArrayRef sizes, SizeVec strides) {
  const auto behind = [&](int d) { return strides[d] * std::max<int64_t>(sizes[d], 1); };
  int right = -1;
  for (int d = static_cast<int>(sizes.size()); d-- > 0;) {
    if (sizes[d] != 1) {
      right = d;
      continue;
    }
    int left = d - 1;
    while (left >= 0 && sizes[left] == 1) --left;
    const bool reversed = left >= 0 && right >= 0 && strides[left] < strides[right];
    strides[d] = reversed ? behind(left) : right >= 0 ? behind(right) : 1;
  }
  return strides;
}

/// Strides shared by all operands when they have one dense layout; empty optional otherwise.
bool one_dense_layout(IntArrayRef sizes, std::span<TensorImpl* const> operands) {
  const TensorImpl* first = nullptr;
  for (const TensorImpl* t : operands) {
    if (!t) continue;
    if (!(IntArrayRef(t->sizes) == sizes)) return false;
    if (first && !same_strides(sizes, t->strides, first->strides)) return false;
    if (!first && !is_non_overlapping_and_dense(t->sizes, t->strides)) return false;
    first = t;
  }
  return first != nullptr;
}

}  // namespace

SizeVec broadcast_sizes(std::span<TensorImpl* const> operands, const char* op) {
  return broadcast(operands, [&] { return std::string(op); });
}

SizeVec broadcast_call(const OpCall& call) {
  return broadcast(call.operands(), [&] { return describe(call); });
}

SizeVec pointwise_strides(IntArrayRef sizes, std::span<TensorImpl* const> operands) {
  bool contiguous = true;  // broadcasting does not change the order of dimensions
  for (const TensorImpl* t : operands) contiguous &= !t || t->is_contiguous();
  if (contiguous || sizes.size() < 2 || SINTER_MUTANT(results_always_row_major)) return contiguous_strides(sizes);
  if (one_dense_layout(sizes, operands)) {
    for (const TensorImpl* t : operands)
      if (t) return settled(sizes, t->strides);
  }
  // Dimensions from innermost to outermost: insertion sort from the row-major order, because the comparison is partial.
  const int n = static_cast<int>(sizes.size());
  int perm[kMaxRank];
  for (int i = 0; i < n; ++i) perm[i] = n - 1 - i;
  for (int i = 1; i < n; ++i) {
    int at = i;
    for (int j = i - 1; j >= 0; --j) {
      const int c = compare_dims(sizes, operands, perm[j], perm[at]);
      if (c < 0) break;
      if (c == 0) continue;
      std::swap(perm[j], perm[at]);
      at = j;
    }
  }
  SizeVec strides;
  strides.resize(sizes.size());
  int64_t step = 1;
  for (int i = 0; i < n; ++i) {
    strides[perm[i]] = step;
    step *= std::max<int64_t>(sizes[perm[i]], 1);
  }
  return settled(sizes, std::move(strides));
}

}  // namespace sinter

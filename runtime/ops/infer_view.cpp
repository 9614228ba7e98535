// Geometry of views. Offsets are absolute within the storage of operand 0.
#include <cassert>
#include "infer.h"

namespace sinter {

std::optional<SizeVec> view_strides(IntArrayRef sizes, IntArrayRef strides, IntArrayRef new_sizes) {
  const int n_new = static_cast<int>(new_sizes.size());
  if (numel_of(sizes) == 0) {
    // PyTorch keeps the strides of an unchanged empty shape and makes row-major ones for a new shape.
    return sizes == new_sizes ? SizeVec(strides) : contiguous_strides(new_sizes);
  }
  SizeVec result;
  result.resize(new_sizes.size());
  if (sizes.empty()) {
    for (int i = 0; i < n_new; ++i) result[i] = 1;
    return result;
  }
  // Walk both shapes from the inside. A run of old dimensions that lies densely must be used up by whole new dimensions.
  int j = n_new - 1;
  int64_t step = strides.back(), run = 1, taken = 1;
  for (int i = static_cast<int>(sizes.size()) - 1; i >= 0; --i) {
    run *= sizes[i];
    const bool run_ends = i == 0 || (sizes[i - 1] != 1 && strides[i - 1] != run * step);
    if (!run_ends) continue;
    while (j >= 0 && (taken < run || new_sizes[j] == 1)) {
      result[j] = taken * step;
      taken *= new_sizes[j--];
    }
    if (taken != run) return std::nullopt;
    if (i > 0) step = strides[i - 1], run = taken = 1;
  }
  if (j != -1) return std::nullopt;
  return result;
}

namespace {

int64_t checked_dim(const OpCall& call, int64_t dim) {
  const int64_t rank = call.in[0]->rank();
  if (rank == 0) fail<IndexError>(call, "{} cannot be applied to a 0-dim tensor.", op_info(call.op).name);
  return wrap_dim(dim, rank, call);
}

void infer_reshaped(const OpCall& call, TensorMeta& m) {
  const TensorImpl* x = call.in[0];
  check_bytes(call, kBool, call.ints);
  if (numel_of(call.ints) != x->numel)
    fail<ShapeError>(call, "shape '{}' is invalid for input of size {}", to_string(call.ints), x->numel);
  const auto strides = view_strides(x->sizes, x->strides, call.ints);
  if (!strides)
    fail<ShapeError>(call,
                     "view size is not compatible with input tensor's size and stride (at least one dimension spans "
                     "across two contiguous subspaces). Use .reshape(...) instead.");
  m.sizes = call.ints;
  m.strides = *strides;
}

void swap_dims(TensorMeta& m, int64_t a, int64_t b) {
  std::swap(m.sizes[a], m.sizes[b]);
  std::swap(m.strides[a], m.strides[b]);
}

void infer_transposed(const OpCall& call, TensorMeta& m) {
  const auto dim0 = static_cast<int64_t>(call.attr & 0xff), dim1 = static_cast<int64_t>(call.attr >> 8 & 0xff);
  wrap_dim(dim0, call.in[0]->rank(), call);
  wrap_dim(dim1, call.in[0]->rank(), call);
  if (call.in[0]->rank() > 0) swap_dims(m, dim0, dim1);
}

void infer_permuted(const OpCall& call, TensorMeta& m) {
  const TensorImpl* x = call.in[0];
  if (static_cast<int64_t>(call.ints.size()) != x->rank())
    fail<ShapeError>(call, "number of dims don't match in permute: input.dim() = {} is not equal to len(dims) = {}", x->rank(),
                     call.ints.size());
  uint64_t seen = 0;
  for (size_t i = 0; i < call.ints.size(); ++i) {
    const int64_t d = wrap_dim(call.ints[i], x->rank(), call);
    if (seen >> d & 1) fail<ValueError>(call, "repeated dim in permute");
    seen |= 1ull << d;
    m.sizes[i] = x->sizes[d];
    m.strides[i] = x->strides[d];
  }
}

void infer_expanded(const OpCall& call, TensorMeta& m) {
  const TensorImpl* x = call.in[0];
  const size_t n = call.ints.size(), own = x->sizes.size();
  if (n < own)
    fail<ShapeError>(call,
                     "the number of sizes provided ({}) must be greater or equal to the number of dimensions in the "
                     "tensor ({})",
                     n, own);
  check_bytes(call, kBool, call.ints);  // repeated elements take no memory: only the number must fit
  m.sizes = call.ints;
  m.strides.resize(n);
  for (size_t i = n; i-- > 0;) {
    const bool has = i + own >= n;
    const int64_t size = has ? x->sizes[i + own - n] : 1;
    // New outer dimensions get the stride a row-major tensor would have when they do not repeat anything, as in PyTorch.
    int64_t stride = has ? x->strides[i + own - n] : i + 1 < n ? m.sizes[i + 1] * m.strides[i + 1] : 1;
    if (size != m.sizes[i]) {
      if (size != 1)
        fail<ShapeError>(call,
                         "The expanded size of the tensor ({}) must match the existing size ({}) at non-singleton "
                         "dimension {}.  Target sizes: {}.  Tensor sizes: {}",
                         m.sizes[i], size, i, to_string(call.ints), to_string(x->sizes));
      stride = 0;
    }
    m.strides[i] = stride;
  }
}

void drop_dim(TensorMeta& m, int64_t d) {
  std::copy(m.sizes.begin() + d + 1, m.sizes.end(), m.sizes.begin() + d);
  std::copy(m.strides.begin() + d + 1, m.strides.end(), m.strides.begin() + d);
  assert(!m.sizes.empty());  // said here because GCC warns of the wrap otherwise
  m.sizes.resize(m.sizes.size() - 1);
  assert(!m.strides.empty());
  m.strides.resize(m.strides.size() - 1);
}

void infer_selected(const OpCall& call, TensorMeta& m) {
  const int64_t d = checked_dim(call, static_cast<int64_t>(call.attr)), index = call.ints[0], size = m.sizes[d];
  if (index < -size || index >= size)
    fail<IndexError>(call, "index {} out of range for tensor of size {} at dimension {}", index, to_string(m.sizes), d);
  m.offset += (index < 0 ? index + size : index) * m.strides[d];
  drop_dim(m, d);
}

void infer_sliced(const OpCall& call, TensorMeta& m) {
  const int64_t d = checked_dim(call, static_cast<int64_t>(call.attr));
  const int64_t start = call.ints[0], end = call.ints[1], step = call.ints[2];
  if (step <= 0) fail<ValueError>(call, "slice step must be positive");
  if (start < 0 || start > end || end > m.sizes[d])
    fail<IndexError>(call, "slice bounds [{}, {}) are outside of [0, {})", start, end, m.sizes[d]);
  m.offset += start * m.strides[d];
  m.sizes[d] = (end - start) / step + ((end - start) % step != 0);
  int64_t stride;
  if (__builtin_mul_overflow(m.strides[d], step, &stride)) stride = m.strides[d];  // one element at most is left
  m.strides[d] = stride;
}

void infer_squeezed(const OpCall& call, TensorMeta& m) {
  const int64_t rank = call.in[0]->rank();
  for (int64_t d = rank - 1; d >= 0; --d) {
    if (!(call.attr >> d & 1)) continue;
    if (m.sizes[d] != 1) fail<ShapeError>(call, "dimension {} of size {} cannot be squeezed", d, m.sizes[d]);
    drop_dim(m, d);
  }
}

void infer_unsqueezed(const OpCall& call, TensorMeta& m) {
  const int64_t d = wrap_dim(static_cast<int64_t>(call.attr), call.in[0]->rank() + 1, call), rank = call.in[0]->rank();
  if (rank + 1 > kMaxRank) fail<ShapeError>(call, "a rank of {} is above the limit of {}", rank + 1, kMaxRank);
  const int64_t stride = d < rank ? m.sizes[d] * m.strides[d] : 1;
  m.sizes.push_back(1);
  m.strides.push_back(1);
  for (int64_t i = rank; i > d; --i) m.sizes[i] = m.sizes[i - 1], m.strides[i] = m.strides[i - 1];
  m.sizes[d] = 1;
  m.strides[d] = stride;
}

}  // namespace

TensorMeta infer_view(const OpCall& call) {
  TensorMeta m = meta_of(call.in[0]);
  switch (call.op) {
    case Op::view:
      infer_reshaped(call, m);
      break;
    case Op::t:
      if (m.sizes.size() > 2)
        fail<ShapeError>(call, "t() expects a tensor with <= 2 dimensions, but self is {}D", m.sizes.size());
      if (m.sizes.size() == 2) swap_dims(m, 0, 1);
      break;
    case Op::transpose:
      infer_transposed(call, m);
      break;
    case Op::permute:
      infer_permuted(call, m);
      break;
    case Op::expand:
      infer_expanded(call, m);
      break;
    case Op::select:
      infer_selected(call, m);
      break;
    case Op::slice:
      infer_sliced(call, m);
      break;
    case Op::squeeze:
      infer_squeezed(call, m);
      break;
    case Op::unsqueeze:
      infer_unsqueezed(call, m);
      break;
    default:
      break;  // detach, alias
  }
  return m;
}

}  // namespace sinter

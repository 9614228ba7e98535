// Result types and shapes of copies, indexing, losses and creation.
#include "infer.h"

namespace sinter {

namespace {

void check_index_dtype(const OpCall& call, int i) {
  if (call.in[i]->dtype() != kLong)
    fail<DtypeError>(call, "Expected dtype int64 for index, but got {}", dtype_name(call.in[i]->dtype()));
}

/// attr = dim, ints = {..., sizes of self}: the gradient of a select or slice, put back into zeros of self's shape.
TensorMeta infer_view_backward(const OpCall& call, size_t n_bounds) {
  const IntArrayRef sizes(call.ints.data() + n_bounds, call.ints.size() - n_bounds);
  if (call.attr >= sizes.size()) wrap_dim(static_cast<int64_t>(call.attr), static_cast<int64_t>(sizes.size()), call);
  const TensorImpl* grad = call.in[0];
  const int64_t start = call.ints[0], size = sizes[call.attr];
  // Where self was given other data since (set_data), what was taken from it may lie outside now.
  if (n_bounds == 1 && (start < 0 || start >= size))
    fail<IndexError>(call, "index {} is out of range for size {} at dimension {}", start, size, call.attr);
  if (n_bounds == 3 && (start < 0 || start > call.ints[1] || call.ints[1] > size || call.ints[2] < 1))
    fail<IndexError>(call, "the slice [{}, {}) with step {} does not lie in size {} of dimension {}", start, call.ints[1],
                     call.ints[2], size, call.attr);
  SizeVec expected;
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (d != call.attr) expected.push_back(sizes[d]);
    else if (n_bounds == 3) expected.push_back((call.ints[1] - call.ints[0] + call.ints[2] - 1) / call.ints[2]);
  }
  if (!(grad->sizes == expected)) fail<ShapeError>(call, "the gradient must have shape {}", to_string(expected));
  return contiguous_meta(call, grad->dtype(), sizes);
}

/// PyTorch's old exception: an empty vector may stand among tensors of any rank.
bool skipped_by_cat(const TensorImpl* t) { return t->sizes.size() == 1 && t->sizes[0] == 0; }

TensorMeta infer_cat(const OpCall& call) {
  const TensorImpl* shape = nullptr;
  PromotionState types;
  int64_t total = 0;
  for (int i = 0; i < call.n_in; ++i) {
    const TensorImpl* t = call.in[i];
    if (!t) fail<Error>(call, "Expected a proper Tensor but got an undefined one for argument #{}", i);
    if (t->rank() == 0) fail<ShapeError>(call, "zero-dimensional tensor (at position {}) cannot be concatenated", i);
    types.add(t->dtype(), true, false);
    if (skipped_by_cat(t)) continue;
    if (!shape) {
      shape = t;
      wrap_dim(static_cast<int64_t>(call.attr), t->rank(), call);
    }
    if (t->rank() != shape->rank())
      fail<ShapeError>(call, "Tensors must have same number of dimensions: got {} and {}", shape->rank(), t->rank());
    for (int64_t d = 0; d < t->rank(); ++d)
      if (d != static_cast<int64_t>(call.attr) && t->sizes[d] != shape->sizes[d])
        fail<ShapeError>(call,
                         "Sizes of tensors must match except in dimension {}. Expected size {} but got size {} for "
                         "tensor number {} in the list.",
                         call.attr, shape->sizes[d], t->sizes[d], i);
    if (__builtin_add_overflow(total, t->sizes[call.attr], &total)) fail<ShapeError>(call, "the sizes along dim overflow");
  }
  SizeVec sizes{0};
  if (shape) {
    sizes = shape->sizes;
    sizes[call.attr] = total;
  }
  return contiguous_meta(call, types.result(kFloat), sizes);
}

TensorMeta infer_gather(const OpCall& call) {
  const TensorImpl *x = call.in[0], *index = call.in[1];
  check_index_dtype(call, 1);
  const int64_t dim = wrap_dim(static_cast<int64_t>(call.attr), x->rank(), call);
  if (index->numel == 0) return contiguous_meta(call, x->dtype(), index->sizes);
  if (std::max<int64_t>(x->rank(), 1) != std::max<int64_t>(index->rank(), 1))
    fail<ShapeError>(call, "Index tensor must have the same number of dimensions as input tensor");
  for (int64_t d = 0; d < std::min(x->rank(), index->rank()); ++d)
    if (d != dim && index->sizes[d] > x->sizes[d])
      fail<ShapeError>(call,
                       "Size does not match at dimension {} expected index {} to be smaller than self {} apart from "
                       "dimension {}",
                       d, to_string(index->sizes), to_string(x->sizes), dim);
  return contiguous_meta(call, x->dtype(), index->sizes);
}

TensorMeta infer_index_select(const OpCall& call) {
  const TensorImpl *x = call.in[0], *index = call.in[1];
  check_index_dtype(call, 1);
  const int64_t dim = wrap_dim(static_cast<int64_t>(call.attr), x->rank(), call);
  if (index->rank() > 1) fail<IndexError>(call, "Index is supposed to be a vector");
  SizeVec sizes = x->sizes;
  if (x->rank() > 0) sizes[dim] = index->numel;
  else if (index->numel != 1) fail<IndexError>(call, "Index to scalar can have only 1 value, got {} value(s)", index->numel);
  return contiguous_meta(call, x->dtype(), sizes);
}

TensorMeta infer_embedding(const OpCall& call) {
  const TensorImpl *weight = call.in[0], *indices = call.in[1];
  if (weight->rank() != 2) fail<ShapeError>(call, "'weight' must be 2-D");
  check_index_dtype(call, 1);
  if (call.attr > static_cast<uint64_t>(weight->sizes[0])) fail<IndexError>(call, "Padding_idx must be within num_embeddings");
  SizeVec sizes = indices->sizes;
  sizes.push_back(weight->sizes[1]);
  return contiguous_meta(call, weight->dtype(), sizes);
}

TensorMeta infer_embedding_backward(const OpCall& call) {
  const TensorImpl *grad = call.in[0], *indices = call.in[1];
  check_index_dtype(call, 1);
  if (!is_floating(grad->dtype())) fail<DtypeError>(call, "not implemented for '{}'", dtype_name(grad->dtype()));
  SizeVec expected = indices->sizes;
  expected.push_back(grad->rank() ? grad->sizes.back() : 0);
  if (!(grad->sizes == expected)) fail<ShapeError>(call, "the gradient must have shape {}", to_string(expected));
  return contiguous_meta(call, grad->dtype(), {call.ints[0], grad->sizes.back()});
}

TensorMeta finish_scatter(const OpCall& call) {
  const TensorImpl *x = call.in[0], *src = call.in[2];
  if (x->dtype() != src->dtype())
    fail<DtypeError>(call, "self and source expected to have the same dtype, but got (self) {} and (source) {}",
                     dtype_name(x->dtype()), dtype_name(src->dtype()));
  if (call.has(kInplace)) {
    check_inplace_overlap(call, false);
    return meta_of(x);
  }
  return contiguous_meta(call, x->dtype(), x->sizes);
}

TensorMeta infer_scatter_add(const OpCall& call) {
  const TensorImpl *x = call.in[0], *index = call.in[1], *src = call.in[2];
  check_index_dtype(call, 1);
  const int64_t dim = wrap_dim(static_cast<int64_t>(call.attr), x->rank(), call);
  if (index->numel == 0) return finish_scatter(call);
  const auto rank = [](const TensorImpl* t) { return std::max<int64_t>(t->rank(), 1); };
  if (rank(index) != rank(x) || rank(index) != rank(src))
    fail<ShapeError>(call, "Index tensor must have the same number of dimensions as self and src tensors");
  const auto size = [](const TensorImpl* t, int64_t d) { return t->rank() ? t->sizes[d] : 1; };
  for (int64_t d = 0; d < rank(index); ++d)
    if (size(index, d) > size(src, d) || (d != dim && size(index, d) > size(x, d)))
      fail<ShapeError>(call,
                       "Expected index {} to be smaller than self {} apart from dimension {} and to be smaller size "
                       "than src {}",
                       to_string(index->sizes), to_string(x->sizes), dim, to_string(src->sizes));
  return finish_scatter(call);
}

TensorMeta infer_index_add(const OpCall& call) {
  const TensorImpl *x = call.in[0], *index = call.in[1], *src = call.in[2];
  check_index_dtype(call, 1);
  const int64_t dim = wrap_dim(static_cast<int64_t>(call.attr), x->rank(), call);
  if (index->rank() > 1) fail<IndexError>(call, "Index is supposed to be a vector, but got dim: {}", index->rank());
  if (x->rank() != src->rank()) fail<ShapeError>(call, "self and source must have the same rank");
  for (int64_t d = 0; d < x->rank(); ++d) {
    const int64_t expected = d == dim ? index->numel : x->sizes[d];
    if (src->sizes[d] != expected)
      fail<ShapeError>(call, "source has size {} at dimension {}, expected {}", src->sizes[d], d, expected);
  }
  if (x->rank() == 0 && index->numel != 1)
    fail<IndexError>(call, "Number of indices ({}) should be equal to source.size(dim): (1)", index->numel);
  return finish_scatter(call);
}

}  // namespace

TensorMeta infer_copy(const OpCall& call) {
  switch (call.op) {
    case Op::cat:
      return infer_cat(call);
    case Op::select_backward:
      return infer_view_backward(call, 1);
    case Op::slice_backward:
      return infer_view_backward(call, 3);
    default:
      break;  // clone
  }
  const TensorImpl* x = call.in[0];
  TensorMeta m = contiguous_meta(call, x->dtype(), x->sizes);
  if (call.attr == 0) m.strides = pointwise_strides(x->sizes, call.operands());
  return m;
}

TensorMeta infer_index(const OpCall& call) {
  switch (call.op) {
    case Op::gather:
      return infer_gather(call);
    case Op::index_select:
      return infer_index_select(call);
    case Op::embedding:
      return infer_embedding(call);
    case Op::scatter_add:
      return infer_scatter_add(call);
    case Op::index_add:
      return infer_index_add(call);
    default:
      return infer_embedding_backward(call);
  }
}

TensorMeta infer_loss(const OpCall& call) {
  const bool backward = call.op == Op::nll_loss_backward;
  const int first = backward ? 1 : 0;
  const TensorImpl *x = call.in[first], *target = call.in[first + 1];
  const TensorImpl* weight = call.n_in > first + 2 ? call.in[first + 2] : nullptr;
  if (x->rank() != 1 && x->rank() != 2) fail<ShapeError>(call, "input tensor should be 1D or 2D");
  if (target->rank() > 1) fail<ShapeError>(call, "0D or 1D target tensor expected, multi-target not supported");
  if (!is_floating(x->dtype())) fail<DtypeError>(call, "not implemented for '{}'", dtype_name(x->dtype()));
  if (target->dtype() != kLong) fail<DtypeError>(call, "expected scalar type Long but found {}", dtype_name(target->dtype()));
  const bool batched = x->rank() == 2;
  if (batched ? target->rank() != 1 || target->sizes[0] != x->sizes[0] : target->numel != 1)
    fail<ShapeError>(call, "size mismatch (got input: {}, target: {})", to_string(x->sizes), to_string(target->sizes));
  const int64_t classes = x->sizes.back();
  if (weight && (weight->rank() != 1 || weight->numel != classes))
    fail<ShapeError>(call,
                     "weight tensor should be defined either for all {} classes or no classes but got weight tensor of "
                     "shape: {}",
                     classes, to_string(weight->sizes));
  if (weight && weight->dtype() != x->dtype())
    fail<DtypeError>(call, "expected scalar type {} but found {}", dtype_name(x->dtype()), dtype_name(weight->dtype()));
  if (loss_reduction(call.attr) > 2) fail<ValueError>(call, "{} is not a valid value for reduction", loss_reduction(call.attr));
  SizeVec sizes;
  if (batched && loss_reduction(call.attr) == 0) sizes.push_back(x->sizes[0]);
  if (!backward) return contiguous_meta(call, x->dtype(), sizes);
  if (!(call.in[0]->sizes == sizes) || call.in[0]->dtype() != x->dtype())
    fail<ShapeError>(call, "the gradient must be {}{}", dtype_name(x->dtype()), to_string(sizes));
  return contiguous_meta(call, x->dtype(), x->sizes);
}

TensorMeta infer_creation(const OpCall& call) {
  const auto dtype = static_cast<ScalarType>(call.attr);
  if (call.attr >= static_cast<uint64_t>(ScalarType::Undefined)) fail<DtypeError>(call, "a dtype is needed");
  if ((call.op == Op::rand || call.op == Op::randn) && !is_floating(dtype))
    fail<DtypeError>(call, "not implemented for '{}'", dtype_name(dtype));
  return contiguous_meta(call, dtype, call.ints);
}

}  // namespace sinter

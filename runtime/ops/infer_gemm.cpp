// Result types and shapes of matrix products.
#include "infer.h"

namespace sinter {

namespace {

void check_types(const OpCall& call) {
  const ScalarType t = call.in[0]->dtype();
  for (const TensorImpl* o : call.operands())
    if (o && o->dtype() != t)
      fail<DtypeError>(call, "expected all matrices to have the same dtype, but got: {} != {}", dtype_name(t),
                       dtype_name(o->dtype()));
  if (t == kBool) fail<DtypeError>(call, "not implemented for 'bool'");
}

void check_matrix(const OpCall& call, int i, const char* name) {
  if (call.in[i]->rank() != 2) fail<ShapeError>(call, "{} must be a matrix, got {}-D tensor", name, call.in[i]->rank());
}

/// [n, k] x [k, m]
SizeVec product_sizes(const OpCall& call, int first) {
  const TensorImpl *a = call.in[first], *b = call.in[first + 1];
  if (a->sizes[1] != b->sizes[0])
    fail<ShapeError>(call, "mat1 and mat2 shapes cannot be multiplied ({} and {})", shape_x(a->sizes), shape_x(b->sizes));
  return {a->sizes[0], b->sizes[1]};
}

SizeVec addmm_sizes(const OpCall& call) {
  check_matrix(call, 1, "mat1");
  check_matrix(call, 2, "mat2");
  const SizeVec sizes = product_sizes(call, 1);
  const SizeVec& bias = call.in[0]->sizes;
  if (bias.size() > 2)
    fail<ShapeError>(call,
                     "the number of sizes provided (2) must be greater or equal to the number of dimensions in the tensor "
                     "({})",
                     bias.size());
  for (size_t i = 0; i < bias.size(); ++i) {
    const size_t d = 2 - bias.size() + i;
    if (bias[i] != sizes[d] && bias[i] != 1)
      fail<ShapeError>(call,
                       "The expanded size of the tensor ({}) must match the existing size ({}) at non-singleton dimension "
                       "{}.  Target sizes: {}.  Tensor sizes: {}",
                       sizes[d], bias[i], d, to_string(sizes), to_string(bias));
  }
  return sizes;
}

SizeVec bmm_sizes(const OpCall& call) {
  const SizeVec &a = call.in[0]->sizes, &b = call.in[1]->sizes;
  if (a.size() != 3) fail<ShapeError>(call, "batch1 must be a 3D tensor");
  if (b.size() != 3) fail<ShapeError>(call, "batch2 must be a 3D tensor");
  if (a[0] != b[0] || a[2] != b[1])
    fail<ShapeError>(call, "Expected size for first two dimensions of batch2 tensor to be: [{}, {}] but got: [{}, {}].", a[0],
                     a[2], b[0], b[1]);
  return {a[0], a[1], b[2]};
}

SizeVec linear_sizes(const OpCall& call) {
  const TensorImpl *x = call.in[0], *w = call.in[1];
  check_matrix(call, 1, "weight");
  if (x->rank() == 0) fail<ShapeError>(call, "both arguments to linear need to be at least 1D");
  const int64_t in = x->sizes.back();
  if (in != w->sizes[1])
    fail<ShapeError>(call, "mat1 and mat2 shapes cannot be multiplied ({}x{} and {}x{})", in ? x->numel / in : 0, in, w->sizes[1],
                     w->sizes[0]);
  if (call.n_in == 3 && call.in[2]) {
    const SizeVec& bias = call.in[2]->sizes;
    if (bias.size() != 1 || bias[0] != w->sizes[0])
      fail<ShapeError>(call, "expected a bias of shape [{}], got {}", w->sizes[0], to_string(bias));
  }
  SizeVec sizes = x->sizes;
  sizes[sizes.size() - 1] = w->sizes[0];
  return sizes;
}

}  // namespace

TensorMeta infer_gemm(const OpCall& call) {
  SizeVec sizes;
  switch (call.op) {
    case Op::mm:
      check_matrix(call, 0, "self");
      check_matrix(call, 1, "mat2");
      sizes = product_sizes(call, 0);
      break;
    case Op::bmm:
      sizes = bmm_sizes(call);
      break;
    case Op::addmm:
      sizes = addmm_sizes(call);
      break;
    default:
      sizes = linear_sizes(call);
      break;
  }
  check_types(call);
  return contiguous_meta(call, call.in[0]->dtype(), sizes);
}

}  // namespace sinter

// Result type and shape of scaled_dot_product_attention.
#include "attention.h"
#include "infer.h"

namespace sinter {

namespace {

void check_types(const OpCall& call) {
  const ScalarType q = call.in[0]->dtype(), k = call.in[1]->dtype(), v = call.in[2]->dtype();
  if (q != k || q != v)
    fail<DtypeError>(call,
                     "Expected query, key, and value to have the same dtype, but got query.dtype: {} key.dtype: {} and "
                     "value.dtype: {} instead.",
                     dtype_name(q), dtype_name(k), dtype_name(v));
  if (!is_floating(q)) fail<DtypeError>(call, "not implemented for '{}'", dtype_name(q));
  if (call.n_in < 4 || !call.in[3]) return;
  const ScalarType m = call.in[3]->dtype();
  if (m != kBool && (m != q || call.attr & kAttentionFills))
    fail<DtypeError>(call,
                     "Expected attn_mask dtype to be bool or to match query dtype, but got attn_mask.dtype: {} and  "
                     "query.dtype: {} instead.",
                     dtype_name(m), dtype_name(q));
}

void check_shapes(const OpCall& call) {
  const SizeVec &q = call.in[0]->sizes, &k = call.in[1]->sizes, &v = call.in[2]->sizes;
  if (q.size() < 2 || k.size() < 2 || v.size() < 2)
    fail<ShapeError>(call,
                     "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {}, key.dim: {} and "
                     "value.dim: {} instead.",
                     q.size(), k.size(), v.size());
  bool leading = q.size() == k.size() && q.size() == v.size();
  for (size_t d = 0; leading && d + 2 < q.size(); ++d) leading = q[d] == k[d] && q[d] == v[d];
  if (!leading) fail<ShapeError>(call, "Expected query, key and value to have the same leading dimensions");
  if (q.back() != k.back())
    fail<ShapeError>(call, "Expected query and key to have the same last dimension, but got {} and {}", q.back(), k.back());
  if (k[k.size() - 2] != v[v.size() - 2])
    fail<ShapeError>(call, "Expected key and value to have the same number of rows, but got {} and {}", k[k.size() - 2],
                     v[v.size() - 2]);
}

/// The mask broadcasts to the leading dimensions, queries and keys.
void check_mask(const OpCall& call) {
  if (call.n_in < 4 || !call.in[3]) return;
  if (call.attr & kAttentionCausal) fail<ValueError>(call, "Explicit attn_mask should not be set when is_causal=True");
  const SizeVec& q = call.in[0]->sizes;
  const size_t leading = q.size() - 2;
  SizeVec full(call.ints.empty() ? IntArrayRef(q.data(), leading) : call.ints);
  full.push_back(q[leading]);
  full.push_back(call.in[1]->sizes[leading]);
  const SizeVec& mask = call.in[3]->sizes;
  bool fits = mask.size() <= full.size();
  for (size_t i = 1; fits && i <= mask.size(); ++i)
    fits = mask[mask.size() - i] == 1 || mask[mask.size() - i] == full[full.size() - i];
  if (!fits) fail<ShapeError>(call, "Expected a mask that broadcasts to {}, but got {}", to_string(full), to_string(mask));
}

}  // namespace

TensorMeta infer_attention(const OpCall& call) {
  check_types(call);
  check_shapes(call);
  check_mask(call);
  const int wanted = call.attr & kAttentionDropout ? 4 : call.attr & kAttentionFills ? 2 : 1;
  if (call.n_scalars != wanted) fail<Error>(call, "takes {} numbers, got {}", wanted, call.n_scalars);
  if (!call.ints.empty() && (call.in[0]->rank() != 3 || numel_of(call.ints) != call.in[0]->sizes[0]))
    fail<ShapeError>(call, "the leading dimensions {} of the mask do not fit", to_string(call.ints));
  SizeVec sizes = call.in[0]->sizes;
  sizes[sizes.size() - 1] = call.in[2]->sizes.back();
  return contiguous_meta(call, call.in[0]->dtype(), sizes);
}

}  // namespace sinter

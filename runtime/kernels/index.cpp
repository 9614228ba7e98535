// gather, index_select, embedding and their adjoints, by an index operand whose range was checked (check_values).
// Sums are taken in the row-major order of the index, one after the other.
#include <cstring>
#include "../mutants.h"
#include "pointwise.h"
#include "run_kernel.h"
#include "strided_loop.h"

namespace sinter {

namespace {

struct Bool8 {  // a bool sums as "or"
  uint8_t v;
  Bool8& operator+=(Bool8 o) {
    v |= o.v;
    return *this;
  }
};
struct Wrapping64 {
  uint64_t v;
  Wrapping64& operator+=(Wrapping64 o) {
    v += o.v;
    return *this;
  }
};

/// Strides of the index operand over the shape that is walked.
SizeVec spread_index(size_t rank, size_t dim, const TensorView& index) {
  SizeVec s;
  s.resize(rank);
  if (rank && !index.strides.empty()) s[dim] = index.strides[0];
  return s;
}

SizeVec without_dim(const TensorView& v, size_t dim) {
  SizeVec s(v.strides);
  if (dim < s.size()) s[dim] = 0;
  return s;
}

int64_t stride_at(const TensorView& v, size_t dim) { return dim < v.strides.size() ? v.strides[dim] : 0; }

/// out[.., i, ..] = self[.., index, ..]: `index_strides` walk the index over out's shape.
template <class T>
void take(const TensorView& out, const TensorView& self, const int64_t* index, size_t dim, IntArrayRef index_strides) {
  const SizeVec rest = without_dim(self, dim);
  const int64_t step = stride_at(self, dim);
  const T* from = self.as<const T>();
  T* to = out.as<T>();
  strided_loop<3>(out.sizes, {out.strides.data(), index_strides.data(), rest.data()},
                  [&](const int64_t* o) { to[o[0]] = from[o[2] + index[o[1]] * step]; });
}

void take_bytes(const TensorView& out, const TensorView& self, const TensorView& index, size_t dim, IntArrayRef strides) {
  const int64_t* at = index.as<const int64_t>();
  switch (element_size(out.dtype)) {
    case 1:
      return take<uint8_t>(out, self, at, dim, strides);
    case 4:
      return take<uint32_t>(out, self, at, dim, strides);
    default:
      return take<uint64_t>(out, self, at, dim, strides);
  }
}

/// Whole rows at once: out[i, :] = self[index[i], :] with both row parts dense; index in row-major order.
void take_rows(const TensorView& out, const TensorView& self, const TensorView& index) {
  const auto size = static_cast<int64_t>(element_size(out.dtype));
  int64_t row = 1;
  for (size_t i = 1; i < self.sizes.size(); ++i) row *= self.sizes[i];
  const auto bytes = static_cast<size_t>(row * size);
  char* to = static_cast<char*>(out.data);
  const char* from = static_cast<const char*>(self.data);
  const int64_t* at = index.as<const int64_t>();
  const int64_t step = self.strides[0] * size;
  strided_loop<1>(index.sizes, {index.strides.data()}, [&](const int64_t* o) {
    std::memcpy(to, from + at[o[0]] * step, bytes);
    to += bytes;
  });
}

bool rows_dense(const TensorView& v) {
  return !v.sizes.empty() &&
         is_contiguous({v.sizes.data() + 1, v.sizes.size() - 1}, {v.strides.data() + 1, v.strides.size() - 1});
}

void embedding(const KernelArgs& args) {
  const TensorView &weight = args.in[0], &index = args.in[1];
  if (is_contiguous(args.out.sizes, args.out.strides) && rows_dense(weight)) return take_rows(args.out, weight, index);
  // As a gather over [index dimensions..., columns] from a weight whose leading dimensions do not move.
  SizeVec strides(index.strides), rest;
  strides.push_back(0);
  rest.resize(strides.size());
  rest[rest.size() - 1] = weight.strides[1];
  const int64_t* at = index.as<const int64_t>();
  const int64_t step = weight.strides[0];
  const auto run = [&]<class T>(T*) {
    strided_loop<3>(args.out.sizes, {args.out.strides.data(), strides.data(), rest.data()},
                    [&](const int64_t* o) { args.out.as<T>()[o[0]] = weight.as<const T>()[o[2] + at[o[1]] * step]; });
  };
  switch (element_size(args.out.dtype)) {
    case 1:
      return run(static_cast<uint8_t*>(nullptr));
    case 4:
      return run(static_cast<uint32_t*>(nullptr));
    default:
      return run(static_cast<uint64_t*>(nullptr));
  }
}

void index_select(const KernelArgs& args) {
  const TensorView &self = args.in[0], &index = args.in[1];
  const size_t dim = args.attr;
  if (dim == 0 && is_contiguous(args.out.sizes, args.out.strides) && rows_dense(self)) return take_rows(args.out, self, index);
  const SizeVec strides = spread_index(args.out.sizes.size(), dim, index);
  take_bytes(args.out, self, index, dim, strides);
}

/// out[.., index, ..] += src over the shape `sizes`.
template <class T>
void put_add(const KernelArgs& args, IntArrayRef sizes, IntArrayRef index_strides) {
  const TensorView &index = args.in[1], &src = args.in[2];
  const size_t dim = args.attr;
  const SizeVec rest = without_dim(args.out, dim);
  const int64_t step = stride_at(args.out, dim);
  const int64_t* at = index.as<const int64_t>();
  const T* from = src.as<const T>();
  T* to = args.out.as<T>();
  strided_loop<3>(sizes, {src.strides.data(), index_strides.data(), rest.data()},
                  [&](const int64_t* o) { to[o[2] + at[o[1]] * step] += from[o[0]]; });
}

void add_at_index(const KernelArgs& args) {
  const TensorView &self = args.in[0], &index = args.in[1], &src = args.in[2];
  if (args.out.data != self.data && !SINTER_MUTANT(index_add_starts_from_nothing)) copy_strided(args.out, self);
  const bool per_element = args.op == Op::scatter_add;
  const IntArrayRef sizes = per_element ? index.sizes : src.sizes;
  const SizeVec strides = per_element ? SizeVec(index.strides) : spread_index(sizes.size(), args.attr, index);
  switch (args.out.dtype) {
    case ScalarType::Float:
      return put_add<float>(args, sizes, strides);
    case ScalarType::Double:
      return put_add<double>(args, sizes, strides);
    case ScalarType::Long:
      return put_add<Wrapping64>(args, sizes, strides);
    default:
      return put_add<Bool8>(args, sizes, strides);
  }
}

/// grad [*, columns], indices [*] -> [num_weights, columns]; rows of the padding index stay 0.
template <class T>
void embedding_dense_backward(const KernelArgs& args) {
  const TensorView &grad = args.in[0], &index = args.in[1], &out = args.out;
  const auto padding = static_cast<int64_t>(args.attr - 1);
  strided_loop<1>(out.sizes, {out.strides.data()}, [&](const int64_t* o) { out.as<T>()[o[0]] = 0; });
  const size_t last = grad.sizes.size() - 1;
  const int64_t columns = grad.sizes[last], step = grad.strides[last];
  const int64_t* at = index.as<const int64_t>();
  strided_loop<2>(index.sizes, {index.strides.data(), grad.strides.data()}, [&](const int64_t* o) {
    const int64_t row = at[o[0]];
    if (row == padding && !SINTER_MUTANT(padding_row_gets_gradient)) return;
    T* to = out.as<T>() + row * out.strides[0];
    const T* from = grad.as<const T>() + o[1];
    for (int64_t c = 0; c < columns; ++c) to[c * out.strides[1]] += from[c * step];
  });
}

}  // namespace

void run_index(const KernelArgs& args) {
  switch (args.op) {
    case Op::gather:
      return take_bytes(args.out, args.in[0], args.in[1], args.attr, args.in[1].strides);
    case Op::index_select:
      return index_select(args);
    case Op::embedding:
      return embedding(args);
    case Op::embedding_dense_backward:
      return args.out.dtype == ScalarType::Float ? embedding_dense_backward<float>(args) : embedding_dense_backward<double>(args);
    default:
      return add_at_index(args);
  }
}

}  // namespace sinter

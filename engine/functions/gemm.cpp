// Matrix products.
#include "common.h"

namespace sinter {

Tensor mm(const Tensor& self, const Tensor& mat2, Loc loc) { return call2(Op::mm, self, mat2, 0, loc); }
Tensor bmm(const Tensor& self, const Tensor& mat2, Loc loc) { return call2(Op::bmm, self, mat2, 0, loc); }
Tensor addmm(const Tensor& self, const Tensor& mat1, const Tensor& mat2, Scalar beta, Scalar alpha, Loc loc) {
  TensorImpl* in[] = {self.impl(), mat1.impl(), mat2.impl()};
  OpCall c{.op = Op::addmm};
  c.n_scalars = 2, c.n_in = 3, c.in = in, c.loc = loc;
  c.scalars[0] = beta, c.scalars[1] = alpha;
  return call(c);
}
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias, Loc loc) {
  return bias.defined() ? call3(Op::linear, input, weight, bias, 0, loc) : call2(Op::linear, input, weight, 0, loc);
}

namespace {

[[noreturn]] void fail_product(const Tensor& a, const Tensor& b, const std::string& text, Op op = Op::mm) {
  TensorImpl* in[] = {a.impl(), b.impl()};
  OpCall c{.op = op};
  c.n_in = 2, c.in = in;
  fail<ShapeError>(c, "{}", text);
}

/// [.., n, k] x [k, m] in one product of [.. * n, k].
Tensor folded(const Tensor& a, const Tensor& b, Loc loc) {
  SizeVec sizes(a.sizes());
  const int64_t k = sizes.back();
  if (k != b.size(0)) fail_product(a, b, "matmul: mat1 and mat2 shapes cannot be multiplied");
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < sizes.size(); ++i) rows *= sizes[i];
  const Tensor flat = mm(reshape(a, {rows, k}, loc), b, loc);
  sizes[sizes.size() - 1] = b.size(1);
  return view(flat, sizes, loc);
}

/// Sizes of the leading dimensions after broadcasting, for operands whose last two dimensions are matrices.
SizeVec batch_sizes(const Tensor& a, const Tensor& b) {
  const IntArrayRef x(a.sizes().data(), static_cast<size_t>(a.dim() - 2)), y(b.sizes().data(), static_cast<size_t>(b.dim() - 2));
  SizeVec sizes;
  sizes.resize(std::max(x.size(), y.size()));
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto at = [&](IntArrayRef s) { return i + s.size() < sizes.size() ? 1 : s[i + s.size() - sizes.size()]; };
    const int64_t p = at(x), q = at(y);
    if (p != q && p != 1 && q != 1)
      fail_product(a, b,
                   fmt::format("The size of tensor a ({}) must match the size of tensor b ({}) at non-singleton "
                               "dimension {}",
                               p, q, i),
                   Op::bmm);
    sizes[i] = p == 1 ? q : p;
  }
  return sizes;
}

/// Expands the leading dimensions to `batch` and folds them into one.
Tensor as_batch(const Tensor& x, const SizeVec& batch, int64_t count, Loc loc) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  SizeVec sizes = batch;
  sizes.push_back(rows);
  sizes.push_back(columns);
  const Tensor wide = x.sizes() == IntArrayRef(sizes) ? x : expand(x, sizes, loc);
  return wide.dim() == 3 ? wide : reshape(wide, {count, rows, columns}, loc);
}

Tensor batched(const Tensor& self, const Tensor& other, Loc loc) {
  const Tensor a = self.dim() == 1 ? unsqueeze(self, 0, loc) : self;
  const Tensor b = other.dim() == 1 ? unsqueeze(other, 1, loc) : other;
  SizeVec sizes = batch_sizes(a, b);
  const int64_t count = checked_numel(sizes);
  const Tensor product = bmm(as_batch(a, sizes, count, loc), as_batch(b, sizes, count, loc), loc);
  if (self.dim() > 1) sizes.push_back(a.size(-2));
  if (other.dim() > 1) sizes.push_back(b.size(-1));
  return product.sizes() == IntArrayRef(sizes) ? product : view(product, sizes, loc);
}

}  // namespace

Tensor mv(const Tensor& self, const Tensor& vec, Loc loc) {
  if (self.dim() != 2 || vec.dim() != 1)
    fail_product(self, vec, fmt::format("mv: vector + matrix @ vector expected, got 1, {}, {}", self.dim(), vec.dim()));
  if (self.size(1) != vec.size(0))
    fail_product(self, vec,
                 fmt::format("mv: size mismatch, got input ({}x{}), vec ({})", self.size(0), self.size(1), vec.size(0)));
  return squeeze(mm(self, unsqueeze(vec, 1, loc), loc), 1, loc);
}

Tensor dot(const Tensor& self, const Tensor& other, Loc loc) {
  if (self.dim() != 1 || other.dim() != 1)
    fail_product(self, other, fmt::format("dot: 1D tensors expected, but got {}D and {}D tensors", self.dim(), other.dim()));
  if (self.numel() != other.numel())
    fail_product(self, other,
                 fmt::format("dot: inconsistent tensor size, expected tensor [{}] and src [{}] to have the same number "
                             "of elements, but got {} and {} elements respectively",
                             self.numel(), other.numel(), self.numel(), other.numel()));
  return view(mm(unsqueeze(self, 0, loc), unsqueeze(other, 1, loc), loc), {}, loc);
}

Tensor matmul(const Tensor& self, const Tensor& other, Loc loc) {
  const int64_t a = self.dim(), b = other.dim();
  if (a == 0 || b == 0)
    fail_product(self, other,
                 fmt::format("matmul: both arguments to matmul need to be at least 1D, but they are {}D and {}D", a, b));
  if (a == 1 && b == 1) return dot(self, other, loc);
  if (a == 2 && b == 1) return mv(self, other, loc);
  if (a == 1 && b == 2) return squeeze(mm(unsqueeze(self, 0, loc), other, loc), 0, loc);
  if (a == 2 && b == 2) return mm(self, other, loc);
  if (a > 2 && b == 2) return folded(self, other, loc);
  if (a > 2 && b == 1) return squeeze(folded(self, unsqueeze(other, 1, loc), loc), -1, loc);
  return batched(self, other, loc);
}

}  // namespace sinter

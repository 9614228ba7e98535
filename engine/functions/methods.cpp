// Methods of Tensor that only call the function of the same name.
#include "common.h"

namespace sinter {

#define UNARY(name) \
  Tensor Tensor::name(Loc loc) const { return sinter::name(*this, loc); }
UNARY(neg)
UNARY(abs)
UNARY(sign)
UNARY(exp)
UNARY(log)
UNARY(log1p)
UNARY(sqrt)
UNARY(rsqrt)
UNARY(reciprocal)
UNARY(sin)
UNARY(cos)
UNARY(tanh)
UNARY(sigmoid)
UNARY(erf)
UNARY(relu)
UNARY(logical_not)
UNARY(square)
UNARY(isnan)
UNARY(max)
UNARY(min)
UNARY(any)
UNARY(all)
UNARY(t)
UNARY(squeeze)
UNARY(detach)
UNARY(clone)
UNARY(contiguous)
#undef UNARY

#define BINARY(name) \
  Tensor Tensor::name(const Tensor& other, Loc loc) const { return sinter::name(*this, other, loc); }
#define BINARY_SCALAR(name) \
  BINARY(name)              \
  Tensor Tensor::name(Scalar other, Loc loc) const { return sinter::name(*this, other, loc); }
BINARY_SCALAR(add)
BINARY_SCALAR(sub)
BINARY_SCALAR(mul)
BINARY_SCALAR(div)
BINARY_SCALAR(floor_divide)
BINARY_SCALAR(remainder)
BINARY_SCALAR(pow)
BINARY_SCALAR(eq)
BINARY_SCALAR(ne)
BINARY_SCALAR(lt)
BINARY_SCALAR(le)
BINARY_SCALAR(gt)
BINARY_SCALAR(ge)
BINARY(minimum)
BINARY(maximum)
BINARY(logical_and)
BINARY(logical_or)
BINARY(logical_xor)
BINARY(max)
BINARY(min)
BINARY(mm)
BINARY(bmm)
BINARY(matmul)
BINARY(mv)
BINARY(dot)
BINARY(view_as)
BINARY(reshape_as)
BINARY(expand_as)
#undef BINARY
#undef BINARY_SCALAR

Tensor Tensor::operator[](IndexArg i) const { return sinter::select(*this, 0, i.index, i.loc); }

Tensor Tensor::add(const Tensor& o, Scalar alpha, Loc loc) const { return sinter::add(*this, o, alpha, loc); }
Tensor Tensor::add(Scalar o, Scalar alpha, Loc loc) const { return sinter::add(*this, o, alpha, loc); }
Tensor Tensor::sub(const Tensor& o, Scalar alpha, Loc loc) const { return sinter::sub(*this, o, alpha, loc); }
Tensor Tensor::sub(Scalar o, Scalar alpha, Loc loc) const { return sinter::sub(*this, o, alpha, loc); }
Tensor Tensor::div(const Tensor& o, std::optional<std::string_view> mode, Loc loc) const {
  return sinter::div(*this, o, mode, loc);
}
Tensor Tensor::div(Scalar o, std::optional<std::string_view> mode, Loc loc) const { return sinter::div(*this, o, mode, loc); }
Tensor Tensor::where(const Tensor& condition, const Tensor& other, Loc loc) const {
  return sinter::where(condition, *this, other, loc);
}
Tensor Tensor::masked_fill(const Tensor& mask, Scalar value, Loc loc) const {
  return sinter::masked_fill(*this, mask, value, loc);
}
Tensor Tensor::clamp(std::optional<Scalar> min, std::optional<Scalar> max, Loc loc) const {
  return sinter::clamp(*this, min, max, loc);
}
Tensor Tensor::clamp_min(Scalar min, Loc loc) const { return sinter::clamp_min(*this, min, loc); }
Tensor Tensor::clamp_max(Scalar max, Loc loc) const { return sinter::clamp_max(*this, max, loc); }
Tensor Tensor::addcmul(const Tensor& a, const Tensor& b, Scalar value, Loc loc) const {
  return sinter::addcmul(*this, a, b, value, loc);
}
Tensor Tensor::addcdiv(const Tensor& a, const Tensor& b, Scalar value, Loc loc) const {
  return sinter::addcdiv(*this, a, b, value, loc);
}
Tensor Tensor::to(ScalarType dtype, bool copy, Loc loc) const { return sinter::to(*this, dtype, copy, loc); }

Tensor Tensor::sum(std::optional<ScalarType> dtype, Loc loc) const { return sinter::sum(*this, dtype, loc); }
Tensor Tensor::sum(IntArrayRef dim, bool keepdim, std::optional<ScalarType> dtype, Loc loc) const {
  return sinter::sum(*this, dim, keepdim, dtype, loc);
}
Tensor Tensor::mean(std::optional<ScalarType> dtype, Loc loc) const { return sinter::mean(*this, dtype, loc); }
Tensor Tensor::mean(IntArrayRef dim, bool keepdim, std::optional<ScalarType> dtype, Loc loc) const {
  return sinter::mean(*this, dim, keepdim, dtype, loc);
}
Tensor Tensor::amax(IntArrayRef dim, bool keepdim, Loc loc) const { return sinter::amax(*this, dim, keepdim, loc); }
Tensor Tensor::amin(IntArrayRef dim, bool keepdim, Loc loc) const { return sinter::amin(*this, dim, keepdim, loc); }
std::tuple<Tensor, Tensor> Tensor::max(int64_t dim, bool keepdim, Loc loc) const { return sinter::max(*this, dim, keepdim, loc); }
std::tuple<Tensor, Tensor> Tensor::min(int64_t dim, bool keepdim, Loc loc) const { return sinter::min(*this, dim, keepdim, loc); }
Tensor Tensor::argmax(std::optional<int64_t> dim, bool keepdim, Loc loc) const {
  return sinter::argmax(*this, dim, keepdim, loc);
}
Tensor Tensor::argmin(std::optional<int64_t> dim, bool keepdim, Loc loc) const {
  return sinter::argmin(*this, dim, keepdim, loc);
}
Tensor Tensor::var(bool unbiased, Loc loc) const { return sinter::var(*this, unbiased, loc); }
Tensor Tensor::var(IntArrayRef dim, bool unbiased, bool keepdim, Loc loc) const {
  return sinter::var(*this, dim, unbiased, keepdim, loc);
}
Tensor Tensor::std(bool unbiased, Loc loc) const { return sinter::std(*this, unbiased, loc); }
Tensor Tensor::std(IntArrayRef dim, bool unbiased, bool keepdim, Loc loc) const {
  return sinter::std(*this, dim, unbiased, keepdim, loc);
}
Tensor Tensor::any(int64_t dim, bool keepdim, Loc loc) const { return sinter::any(*this, dim, keepdim, loc); }
Tensor Tensor::all(int64_t dim, bool keepdim, Loc loc) const { return sinter::all(*this, dim, keepdim, loc); }
bool Tensor::equal(const Tensor& other, Loc loc) const { return sinter::equal(*this, other, loc); }
bool Tensor::allclose(const Tensor& other, double rtol, double atol, bool equal_nan, Loc loc) const {
  return sinter::allclose(*this, other, rtol, atol, equal_nan, loc);
}
Tensor Tensor::softmax(int64_t dim, std::optional<ScalarType> dtype, Loc loc) const {
  return sinter::softmax(*this, dim, dtype, loc);
}
Tensor Tensor::log_softmax(int64_t dim, std::optional<ScalarType> dtype, Loc loc) const {
  return sinter::log_softmax(*this, dim, dtype, loc);
}
Tensor Tensor::addmm(const Tensor& mat1, const Tensor& mat2, Scalar beta, Scalar alpha, Loc loc) const {
  return sinter::addmm(*this, mat1, mat2, beta, alpha, loc);
}

Tensor Tensor::view(IntArrayRef size, Loc loc) const { return sinter::view(*this, size, loc); }
Tensor Tensor::reshape(IntArrayRef shape, Loc loc) const { return sinter::reshape(*this, shape, loc); }
Tensor Tensor::transpose(int64_t dim0, int64_t dim1, Loc loc) const { return sinter::transpose(*this, dim0, dim1, loc); }
Tensor Tensor::permute(IntArrayRef dims, Loc loc) const { return sinter::permute(*this, dims, loc); }
Tensor Tensor::expand(IntArrayRef size, Loc loc) const { return sinter::expand(*this, size, loc); }
Tensor Tensor::select(int64_t dim, int64_t index, Loc loc) const { return sinter::select(*this, dim, index, loc); }
Tensor Tensor::slice(int64_t dim, std::optional<int64_t> start, std::optional<int64_t> end, int64_t step, Loc loc) const {
  return sinter::slice(*this, dim, start, end, step, loc);
}
Tensor Tensor::narrow(int64_t dim, int64_t start, int64_t length, Loc loc) const {
  return sinter::narrow(*this, dim, start, length, loc);
}
Tensor Tensor::squeeze(int64_t dim, Loc loc) const { return sinter::squeeze(*this, dim, loc); }
Tensor Tensor::unsqueeze(int64_t dim, Loc loc) const { return sinter::unsqueeze(*this, dim, loc); }
Tensor Tensor::flatten(int64_t start_dim, int64_t end_dim, Loc loc) const {
  return sinter::flatten(*this, start_dim, end_dim, loc);
}
std::vector<Tensor> Tensor::split(int64_t split_size, int64_t dim, Loc loc) const {
  return sinter::split(*this, split_size, dim, loc);
}
std::vector<Tensor> Tensor::chunk(int64_t chunks, int64_t dim, Loc loc) const { return sinter::chunk(*this, chunks, dim, loc); }

Tensor Tensor::gather(int64_t dim, const Tensor& index, Loc loc) const { return sinter::gather(*this, dim, index, loc); }
Tensor Tensor::index_select(int64_t dim, const Tensor& index, Loc loc) const {
  return sinter::index_select(*this, dim, index, loc);
}
Tensor Tensor::scatter_add(int64_t dim, const Tensor& index, const Tensor& src, Loc loc) const {
  return sinter::scatter_add(*this, dim, index, src, loc);
}
Tensor Tensor::index_add(int64_t dim, const Tensor& index, const Tensor& source, Loc loc) const {
  return sinter::index_add(*this, dim, index, source, loc);
}

}  // namespace sinter

// In-place methods. Those with attributes of their own stand beside the function they belong to.
#include <limits>
#include "common.h"

namespace sinter {

#define INPLACE(name)                      \
  Tensor& Tensor::name##_(Loc loc) const { \
    write(Op::name, *this, 0, loc);        \
    return const_cast<Tensor&>(*this);     \
  }
INPLACE(neg)
INPLACE(abs)
INPLACE(exp)
INPLACE(log)
INPLACE(log1p)
INPLACE(sqrt)
INPLACE(rsqrt)
INPLACE(reciprocal)
INPLACE(sin)
INPLACE(cos)
INPLACE(tanh)
INPLACE(sigmoid)
INPLACE(erf)
INPLACE(relu)
#undef INPLACE

#define INPLACE_BINARY(name)                                    \
  Tensor& Tensor::name##_(const Tensor& other, Loc loc) const { \
    write(Op::name, *this, other, 0, loc);                      \
    return const_cast<Tensor&>(*this);                          \
  }                                                             \
  Tensor& Tensor::name##_(Scalar other, Loc loc) const {        \
    write(Op::name, *this, other, loc, kScalarRhs);             \
    return const_cast<Tensor&>(*this);                          \
  }
INPLACE_BINARY(add)
INPLACE_BINARY(sub)
INPLACE_BINARY(mul)
INPLACE_BINARY(div)
INPLACE_BINARY(floor_divide)
INPLACE_BINARY(remainder)
#undef INPLACE_BINARY

Tensor& Tensor::copy_(const Tensor& src, Loc loc) const {
  if (!is_same(src)) write(Op::copy_, *this, src, 0, loc);
  return const_cast<Tensor&>(*this);
}

Tensor& Tensor::fill_(Scalar value, Loc loc) const {
  write(Op::fill_, *this, value, loc, 0);
  return const_cast<Tensor&>(*this);
}

Tensor& Tensor::fill_(const Tensor& value, Loc loc) const {
  if (value.dim() != 0)
    fail<ShapeError>(NamedCall(Op::fill_, *this).call,
                     "fill_ only supports 0-dimension value tensor but got tensor with {} dimensions.", value.dim());
  return copy_(value, loc);
}

Tensor& Tensor::zero_(Loc loc) const { return fill_(0, loc); }

Tensor& Tensor::uniform_(double from, double to, GeneratorArg generator, Loc loc) const {
  if (!(from <= to))
    fail<ValueError>(NamedCall(Op::rand, *this).call, "uniform_ expects to return a [from, to) range, but found from={} > to={}",
                     from, to);
  return copy_(sinter::add(sinter::mul(rand(sizes(), generator, dtype(), loc), to - from, loc), from, loc), loc);
}
Tensor& Tensor::uniform_(double from, double to, Loc loc) const { return uniform_(from, to, std::nullopt, loc); }

Tensor& Tensor::normal_(double mean, double std, GeneratorArg generator, Loc loc) const {
  if (!(std >= 0)) fail<ValueError>(NamedCall(Op::randn, *this).call, "normal expects std >= 0.0, but found std {}", std);
  return copy_(sinter::add(sinter::mul(randn(sizes(), generator, dtype(), loc), std, loc), mean, loc), loc);
}
Tensor& Tensor::normal_(double mean, double std, Loc loc) const { return normal_(mean, std, std::nullopt, loc); }

Tensor& Tensor::bernoulli_(double p, GeneratorArg generator, Loc loc) const {
  return copy_(sinter::bernoulli(*this, p, generator, loc), loc);
}
Tensor& Tensor::bernoulli_(double p, Loc loc) const { return bernoulli_(p, std::nullopt, loc); }

namespace {
/// One more than the largest integer up to which the type holds all.
int64_t end_of_integers(ScalarType t) {
  if (t == kBool) return 2;
  if (t == kLong) return std::numeric_limits<int64_t>::max();
  return (int64_t{1} << (t == kFloat ? 24 : 53)) + 1;
}
}  // namespace

Tensor& Tensor::random_(int64_t from, int64_t to, GeneratorArg generator, Loc loc) const {
  const NamedCall named(Op::randint, *this);
  if (from >= to) fail<ValueError>(named.call, "random_ expects 'from' to be less than 'to', but got from={} >= to={}", from, to);
  const int64_t end = end_of_integers(dtype());
  if (to > end || from < (dtype() == kBool ? 0 : -end))
    fail<ValueError>(named.call, "random_: [{}, {}) is out of bounds for '{}'", from, to, dtype_name(dtype()));
  return copy_(randint(from, to, sizes(), generator, kLong, loc), loc);
}
Tensor& Tensor::random_(int64_t from, int64_t to, Loc loc) const { return random_(from, to, std::nullopt, loc); }
Tensor& Tensor::random_(int64_t to, GeneratorArg generator, Loc loc) const { return random_(0, to, generator, loc); }
Tensor& Tensor::random_(int64_t to, Loc loc) const { return random_(0, to, std::nullopt, loc); }
Tensor& Tensor::random_(GeneratorArg generator, Loc loc) const { return random_(0, end_of_integers(dtype()), generator, loc); }
Tensor& Tensor::random_(Loc loc) const { return random_(std::nullopt, loc); }

}  // namespace sinter

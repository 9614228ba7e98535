// Random tensors. Counters are reserved here, at the call, so that the numbers do not depend on when they are computed.
#include "../../runtime/mutants.h"
#include "allocate.h"
#include "common.h"

namespace sinter {

namespace {

Tensor call_random(Op op, IntArrayRef sizes, ScalarType dtype, std::initializer_list<Scalar> more, GeneratorArg from, Loc loc) {
  OpCall c{.op = op};
  c.ints = sizes, c.attr = static_cast<uint64_t>(dtype), c.loc = loc;
  check_bytes(c, dtype, sizes);
  const Generator& generator = from.get();
  const uint64_t counter = generator.reserve(random_counters(op, dtype, numel_of(sizes)));
  c.scalars[c.n_scalars++] = static_cast<int64_t>(counter);
  c.scalars[c.n_scalars++] = SINTER_MUTANT(random_call_ignores_seed) ? 0 : static_cast<int64_t>(generator.current_seed());
  for (const Scalar& s : more) c.scalars[c.n_scalars++] = s;
  return call(c);
}

ScalarType type_of(TensorOptions options) { return options.dtype_ == ScalarType::Undefined ? default_dtype() : options.dtype_; }

Tensor finish(Tensor t, TensorOptions options, Loc loc) {
  if (options.requires_grad_) t.set_requires_grad(true, loc);
  return t;
}

void check_floating(Op op, ScalarType dtype) {
  if (!is_floating(dtype)) raise<DtypeError>("{}: not implemented for '{}'", op_info(op).name, dtype_name(dtype));
}

}  // namespace

Tensor rand(IntArrayRef size, GeneratorArg generator, TensorOptions options, Loc loc) {
  check_floating(Op::rand, type_of(options));
  return finish(call_random(Op::rand, size, type_of(options), {}, generator, loc), options, loc);
}
Tensor rand(IntArrayRef size, TensorOptions options, Loc loc) { return rand(size, std::nullopt, options, loc); }
Tensor randn(IntArrayRef size, GeneratorArg generator, TensorOptions options, Loc loc) {
  check_floating(Op::randn, type_of(options));
  return finish(call_random(Op::randn, size, type_of(options), {}, generator, loc), options, loc);
}
Tensor randn(IntArrayRef size, TensorOptions options, Loc loc) { return randn(size, std::nullopt, options, loc); }
Tensor randint(int64_t low, int64_t high, IntArrayRef size, GeneratorArg generator, TensorOptions options, Loc loc) {
  if (low >= high) raise<ValueError>("randint: random_ expects 'from' to be less than 'to', but got from={} >= to={}", low, high);
  return finish(call_random(Op::randint, size, type_of(options), {low, high}, generator, loc), options, loc);
}
Tensor randint(int64_t low, int64_t high, IntArrayRef size, TensorOptions options, Loc loc) {
  return randint(low, high, size, std::nullopt, options, loc);
}
Tensor randint(int64_t high, IntArrayRef size, GeneratorArg generator, TensorOptions options, Loc loc) {
  return randint(0, high, size, generator, options, loc);
}
Tensor randint(int64_t high, IntArrayRef size, TensorOptions options, Loc loc) {
  return randint(0, high, size, std::nullopt, options, loc);
}

Tensor randperm(int64_t n, GeneratorArg from, TensorOptions options, Loc loc) try {
  if (n < 0) raise<ValueError>("randperm: n must be non-negative, got {}", n);
  // What may fail for memory comes before numbers are drawn.
  Tensor order = allocate_tensor("randperm", kLong, n);
  Tensor t = type_of(options) == kLong ? order : allocate_tensor("randperm", type_of(options), n);
  auto* at = static_cast<int64_t*>(order.impl()->storage->data);
  for (int64_t i = 0; i < n; ++i) at[i] = i;
  // Fisher and Yates, two 64-bit numbers per counter.
  const Generator& generator = from.get();
  const uint64_t first = generator.reserve((static_cast<uint64_t>(n) + 1) / 2), seed = generator.current_seed();
  uint32_t words[4] = {};
  for (int64_t i = n - 1; i > 0; --i) {
    const auto draw = static_cast<uint64_t>(n - 1 - i);
    if (draw % 2 == 0) philox4x32(seed, first + draw / 2, words);
    const uint32_t* w = words + 2 * (draw % 2);
    const uint64_t r = (static_cast<uint64_t>(w[0]) << 32 | w[1]) % static_cast<uint64_t>(i + 1);
    std::swap(at[i], at[r]);
  }
  if (!t.is_same(order))
    for (int64_t i = 0; i < n; ++i) store_element(t.impl(), i, at[i]);
  return finish(std::move(t), options, loc);
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

Tensor randperm(int64_t n, TensorOptions options, Loc loc) { return randperm(n, std::nullopt, options, loc); }

Tensor bernoulli(const Tensor& p, GeneratorArg generator, Loc loc) {
  check_floating(Op::bernoulli, p.dtype());
  const NoGradGuard no_grad;
  return to(lt(rand_like(p, generator, {}, loc), p, loc), p.dtype(), false, loc);
}
Tensor bernoulli(const Tensor& p, Loc loc) { return bernoulli(p, std::nullopt, loc); }

Tensor bernoulli(const Tensor& self, double p, GeneratorArg generator, Loc loc) {
  if (!(p >= 0 && p <= 1)) raise<ValueError>("bernoulli: expects p to be in [0, 1], but got p={}", p);
  return call_random(Op::bernoulli, self.sizes(), self.dtype(), {p}, generator, loc);
}
Tensor bernoulli(const Tensor& self, double p, Loc loc) { return bernoulli(self, p, std::nullopt, loc); }

}  // namespace sinter

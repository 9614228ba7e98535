// The value checks of checked operators, with PyTorch's texts.
#include "../error.h"
#include "../mutants.h"
#include "kernel.h"
#include "strided_loop.h"

namespace sinter {

namespace {

void check_index(const KernelArgs& args, const TensorView& index, int64_t dim, int64_t size) {
  const int64_t* at = index.as<const int64_t>();
  strided_loop<1>(index.sizes, {index.strides.data()}, [&](const int64_t* o) {
    const int64_t i = at[o[0]];
    if (i < 0 || (i >= size && !SINTER_MUTANT(upper_index_not_checked))) [[unlikely]]
      raise<IndexError>("{}(): index {} is out of bounds for dimension {} with size {}", op_info(args.op).name, i, dim, size);
  });
}

void check_index_of(const KernelArgs& args) {
  const TensorView& self = args.in[0];
  const bool embedding = args.op == Op::embedding;
  const auto dim = embedding ? 0 : static_cast<size_t>(args.attr);
  check_index(args, args.in[1], static_cast<int64_t>(dim), self.sizes.empty() ? 1 : self.sizes[dim]);
}

void check_targets(const KernelArgs& args, const TensorView& x, const TensorView& target) {
  const int64_t classes = x.sizes.back(), ignore = loss_ignore_index(args.attr);
  const int64_t* at = target.as<const int64_t>();
  const auto check = [&](int64_t t) {
    if ((t < 0 || t >= classes) && t != ignore && !SINTER_MUTANT(targets_not_checked)) [[unlikely]]
      raise<IndexError>("{}(): Target {} is out of bounds. (log-probabilities {})", op_info(args.op).name, t, to_string(x.sizes));
  };
  if (target.sizes.size() == 1) {  // as nearly always
    for (int64_t i = 0; i < target.sizes[0]; ++i) check(at[i * target.strides[0]]);
    return;
  }
  strided_loop<1>(target.sizes, {target.strides.data()}, [&](const int64_t* o) { check(at[o[0]]); });
}

[[noreturn]] void zero_division(const KernelArgs& args) {
  raise<ValueError>("{}(): ZeroDivisionError: integer division by zero ({} {})", op_info(args.op).name,
                    dtype_name(args.in[0].dtype), to_string(args.in[0].sizes));
}

/// Integer division: no element of the divisor may be 0, unless the result has no elements.
void check_divisor(const KernelArgs& args) {
  for (const TensorView& v : args.in)
    if (!is_integral(v.dtype) || v.numel() == 0) return;
  const bool scalar = args.flags & (kScalarRhs | kScalarLhs);
  if (scalar && args.scalars[0].is_floating_point()) return;
  if (args.flags & kScalarRhs) {
    if (args.scalars[0].to_int64() == 0) zero_division(args);
    return;
  }
  const TensorView& divisor = args.flags & kScalarLhs ? args.in[0] : args.in[1];
  const bool is_bool = divisor.dtype == ScalarType::Bool;
  strided_loop<1>(divisor.sizes, {divisor.strides.data()}, [&](const int64_t* o) {
    if (is_bool ? divisor.as<const uint8_t>()[o[0]] == 0
                : divisor.as<const int64_t>()[o[0]] == 0 && !SINTER_MUTANT(zero_divisor_not_checked)) [[unlikely]]
      zero_division(args);
  });
}

}  // namespace

void check_values(const KernelArgs& args) {
  switch (args.op) {
    case Op::gather:
    case Op::index_select:
    case Op::embedding:
    case Op::scatter_add:
    case Op::index_add:
      return check_index_of(args);
    case Op::embedding_dense_backward:
      return check_index(args, args.in[1], 0, args.ints[0]);
    case Op::nll_loss:
      return check_targets(args, args.in[0], args.in[1]);
    case Op::nll_loss_backward:
      return check_targets(args, args.in[1], args.in[2]);
    case Op::div_trunc:
    case Op::floor_divide:
    case Op::remainder:
      return check_divisor(args);
    default:
      return;
  }
}

}  // namespace sinter

// Eager kernels of the pointwise, cast and fill operators.
#pragma once
#include "kernel.h"

namespace sinter {

/// A Pointwise row in args.compute: tensor operands broadcast against out.sizes and are converted to the compute type
/// (the condition of `where` to Bool), value scalars likewise; the result is converted to out.dtype. An operand may be
/// exactly the memory of `out`. Results do not depend on strides or on how the work is cut.
/// @throws DtypeError when the row has no expression in the compute type.
void run_pointwise(const KernelArgs& args);
/// to, clone: out = in[0]; copy_: out = in[1]; converted and broadcast.
void run_cast(const KernelArgs& args);
/// Every element of out = scalars[0], converted to out.dtype.
void run_fill(const KernelArgs& args);

/// dst = src with conversion; src broadcasts against dst.sizes. The two may be the same memory, not partly overlap.
void copy_strided(TensorView dst, TensorView src);

/// A C++ number as the bits of one element (low bytes of the result): the conversion of value scalars everywhere.
uint64_t scalar_bits(const Scalar& value, ScalarType to);

}  // namespace sinter

// A matrix product whose geometry has been looked at: what is left at run time is the arithmetic.
#pragma once
#include "gemm_plan.h"
#include "kernel.h"

namespace sinter {

/// c = a b, or a b + bias (n dense elements, added to every row); a batch of equal ones. Operands by their number in the call.
struct SettledProduct {
  GemmShape shape;
  int64_t batch = 1, a_batch = 0, b_batch = 0;  // how many; from one to the next in elements, results are neighbours
  int8_t a = 0, b = 1, bias = -1;
};

/// Settles an mm, bmm, addmm or linear call; `args` needs no data, but a bias that is there must have some address. False for
/// what the eager kernel does more for: copies of operands, other types, scalars, empty results.
bool settle_product(const KernelArgs& args, SettledProduct& p);

}  // namespace sinter

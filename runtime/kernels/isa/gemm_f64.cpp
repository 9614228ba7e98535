// float64 matrix products.
#include "gemm.h"

namespace sinter::SINTER_LEVEL {

extern constexpr GemmKernels<double> kGemmDouble = {lanes::product<double>, lanes::add_bias<double>};

}  // namespace sinter::SINTER_LEVEL

// float64 matrix products.
#if defined(SINTER_LEVEL_v2)
#include "gemm_eigen.h"
#else
#include "gemm.h"
#endif

namespace sinter::SINTER_LEVEL {

extern constexpr GemmKernels<double> kGemmDouble = lanes::kKernels<double>;

}  // namespace sinter::SINTER_LEVEL

// float32 matrix products.
#if defined(SINTER_LEVEL_v2)
#include "gemm_eigen.h"
#else
#include "gemm.h"
#endif

namespace sinter::SINTER_LEVEL {

extern constexpr GemmKernels<float> kGemmFloat = lanes::kKernels<float>;

}  // namespace sinter::SINTER_LEVEL

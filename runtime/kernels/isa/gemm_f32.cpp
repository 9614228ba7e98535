// float32 matrix products.
#include "gemm.h"

namespace sinter::SINTER_LEVEL {

extern constexpr GemmKernels<float> kGemmFloat = {lanes::product<float>, lanes::add_bias<float>};

}  // namespace sinter::SINTER_LEVEL

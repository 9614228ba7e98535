#include "ambient.h"
#include "../runtime/error.h"

namespace sinter {

constinit thread_local uint32_t ambient::word = ambient::kGradMode;

void set_default_dtype(ScalarType t) {
  if (!is_floating(t)) raise<DtypeError>("set_default_dtype: only floating-point types are supported, got {}", dtype_name(t));
  ambient::word = t == kDouble ? ambient::word | ambient::kDefaultDouble : ambient::word & ~ambient::kDefaultDouble;
}

}  // namespace sinter

#include <algorithm>
#include "../../runtime/error.h"
#include "compiled.h"

namespace sinter {

void mark_dynamic(const Tensor& tensor, int64_t dim, std::optional<int64_t> min, std::optional<int64_t> max) {
  TensorImpl* t = tensor.impl();
  if (t == nullptr) raise<ValueError>("mark_dynamic: the tensor is undefined");
  const int64_t rank = t->rank(), d = dim < 0 ? dim + rank : dim;
  if (d < 0 || d >= rank) raise<IndexError>("mark_dynamic: dimension {} of a tensor of shape {}", dim, to_string(t->sizes));
  DimMark mark{static_cast<int32_t>(d), min.value_or(0), max.value_or(INT64_MAX)};
  if (mark.min < 0 || mark.min > mark.max)
    raise<ValueError>("mark_dynamic: expected 0 <= min <= max, got min {} and max {}", mark.min, mark.max);
  if (t->has(head::kPooled)) return;
  memory_gate([&] {
    if (!t->marks) t->marks = std::make_unique<std::vector<DimMark>>();
    std::erase_if(*t->marks, [&](const DimMark& m) { return m.dim == mark.dim; });
    t->marks->push_back(mark);
  });
}

}  // namespace sinter

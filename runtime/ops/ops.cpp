#include "ops.h"

namespace sinter {

namespace {
enum RowFlags { kNone = 0, kD = 1, kC = 2, kDC = 3 };
constexpr OpInfo kOps[] = {
#define FLAG_0 kNone
#define FLAG_D kD
#define FLAG_C kC
#define FLAG_DC kDC
#define OP(name, kind, min_in, max_in, scalars, promotion, flags) \
  {#name, OpKind::kind, min_in, max_in, scalars, Promotion::promotion, (FLAG_##flags & kD) != 0, (FLAG_##flags & kC) != 0},
#include "ops.def"
#undef OP
};
}  // namespace

const OpInfo& op_info(Op op) { return kOps[static_cast<int>(op)]; }

Op op_by_name(std::string_view name) {
  for (int i = 0; i < kOpCount; ++i)
    if (name == kOps[i].name) return static_cast<Op>(i);
  return Op::kCount;
}

}  // namespace sinter

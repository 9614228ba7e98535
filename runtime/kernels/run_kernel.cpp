#include "run_kernel.h"
#include "../error.h"
#include "pointwise.h"

namespace sinter {

void run_kernel(const KernelArgs& args) {
  switch (op_info(args.op).kind) {
    case OpKind::Pointwise:
      return run_pointwise(args);
    case OpKind::Cast:
      return run_cast(args);
    case OpKind::Fill:
      return run_fill(args);
    case OpKind::Reduce:
      return run_reduce(args);
    case OpKind::Softmax:
      return run_softmax(args);
    case OpKind::Norm:
      return run_norm(args);
    case OpKind::Gemm:
      return run_gemm(args);
    case OpKind::Attention:
      return run_attention(args);
    case OpKind::Copy:
      return run_copy(args);
    case OpKind::Index:
      return run_index(args);
    case OpKind::Loss:
      return run_loss(args);
    case OpKind::Random:
      return run_random(args);
    case OpKind::Creation:
      return run_creation(args);
    case OpKind::View:
      break;
  }
  raise("{}: a view has no kernel", op_info(args.op).name);
}

}  // namespace sinter

#include "pointwise.h"
#include <bit>
#include <cstring>
#include "../cpu.h"
#include "../error.h"
#include "isa/pointwise_run.h"
#include "nest.h"

namespace sinter {

namespace {

struct Level {
  PointwiseFn (*find_pointwise)(Op op, ScalarType compute, int n_in);
  ConvertFn (*find_convert)(ScalarType dst, ScalarType src);
};
const Level& level() {
  static constexpr Level kLevels[] = {{&v2::find_pointwise, &v2::find_convert},
                                      {&v3::find_pointwise, &v3::find_convert},
                                      {&v4::find_pointwise, &v4::find_convert}};
  return kLevels[static_cast<int>(isa())];
}

constexpr int kOperands = kMaxPointwiseOperands + 1;  // with the result, which is number 0
constexpr int kBlock = 512;                           // elements converted or gathered at a time

bool gives_bool(Op op) { return op >= Op::eq && op <= Op::logical_not; }

/// The operands of one call in the order the expression takes them, and what must happen to each.
struct Plan {
  PointwiseFn fn;
  int n_in = 0;
  const TensorView* views[kOperands];
  ScalarType wanted[kOperands];
  size_t size[kOperands];         // bytes of an element in memory
  ConvertFn convert[kOperands];   // null: memory is used as it is
  uint64_t scalars[kMaxPointwiseOperands];
  TensorView scalar_views[kMaxPointwiseOperands];
};

[[noreturn]] void refuse(const KernelArgs& args, int n_in) {
  raise<DtypeError>("{}: no kernel for {} operands computed in {}", op_info(args.op).name, n_in, dtype_name(args.compute));
}

void add_scalar(Plan& plan, const KernelArgs& args, int i) {
  plan.scalars[i] = scalar_bits(args.scalars[i], args.compute);
  plan.scalar_views[i] = {&plan.scalars[i], args.compute, {}, {}};
  plan.views[++plan.n_in] = &plan.scalar_views[i];
}

void list_operands(Plan& plan, const KernelArgs& args) {
  const int total = static_cast<int>(args.in.size()) + args.n_scalars;
  if (total > kMaxPointwiseOperands) refuse(args, total);
  plan.views[0] = &args.out;
  int first_scalar = 0;
  if (args.flags & kScalarLhs) add_scalar(plan, args, first_scalar++);
  for (const TensorView& v : args.in) plan.views[++plan.n_in] = &v;
  for (int i = first_scalar; i < args.n_scalars; ++i) add_scalar(plan, args, i);
}

void prepare(Plan& plan, const KernelArgs& args) {
  list_operands(plan, args);
  plan.fn = level().find_pointwise(args.op, args.compute, plan.n_in);
  if (!plan.fn) refuse(args, plan.n_in);
  for (int k = 0; k <= plan.n_in; ++k) plan.wanted[k] = args.compute;
  if (gives_bool(args.op)) plan.wanted[0] = ScalarType::Bool;
  if (args.op == Op::where) plan.wanted[1] = ScalarType::Bool;
}

/// Chooses for each operand whether it is used in place; an operand of another type, or strided within a run, is staged.
bool choose_staging(Plan& plan, const Nest<kOperands>& nest) {
  bool any = false;
  for (int k = 0; k <= plan.n_in; ++k) {
    const ScalarType type = plan.views[k]->dtype;
    plan.size[k] = element_size(type);
    const int64_t stride = nest.stride[k][0];
    const bool direct = type == plan.wanted[k] && (stride == 1 || nest.size[0] == 1 || (stride == 0 && k > 0));
    plan.convert[k] = nullptr;
    if (direct) continue;
    plan.convert[k] = k == 0 ? level().find_convert(type, plan.wanted[0]) : level().find_convert(plan.wanted[k], type);
    any = true;
  }
  return any;
}

char* address(const Plan& plan, int k, int64_t offset) {
  return static_cast<char*>(plan.views[k]->data) + offset * static_cast<int64_t>(plan.size[k]);
}

void run_direct(const Plan& plan, const Nest<kOperands>& nest, uint64_t attr) {
  PointwiseRun run;
  run.n = nest.size[0];
  run.attr = attr;
  run.broadcast = 0;
  for (int k = 1; k <= plan.n_in; ++k) run.broadcast |= static_cast<uint32_t>(nest.stride[k][0] == 0) << (k - 1);
  nest.for_each_run(plan.n_in + 1, [&](const int64_t* offset) {
    run.out = address(plan, 0, offset[0]);
    for (int k = 1; k <= plan.n_in; ++k) run.in[k - 1] = address(plan, k, offset[k]);
    plan.fn(run);
  });
}

/// One innermost run in blocks: operands that need it go through `buffers`.
void run_staged_blocks(const Plan& plan, const Nest<kOperands>& nest, const int64_t* offset, PointwiseRun& run,
                       char (*buffers)[kBlock * 8]) {
  for (int64_t start = 0; start < nest.size[0]; start += kBlock) {
    const int64_t n = std::min<int64_t>(kBlock, nest.size[0] - start);
    run.n = n;
    for (int k = 1; k <= plan.n_in; ++k) {
      const int64_t stride = nest.stride[k][0];
      const char* source = address(plan, k, offset[k] + start * stride);
      run.in[k - 1] = source;
      if (!plan.convert[k]) continue;
      run.in[k - 1] = buffers[k];
      plan.convert[k](buffers[k], 1, source, stride, stride == 0 ? 1 : n);
    }
    char* target = address(plan, 0, offset[0] + start * nest.stride[0][0]);
    run.out = plan.convert[0] ? buffers[0] : target;
    plan.fn(run);
    if (plan.convert[0]) plan.convert[0](target, nest.stride[0][0], buffers[0], 1, n);
  }
}

void run_staged(const Plan& plan, const Nest<kOperands>& nest, uint64_t attr) {
  alignas(64) char buffers[kOperands][kBlock * 8];
  PointwiseRun run;
  run.attr = attr;
  run.broadcast = 0;
  for (int k = 1; k <= plan.n_in; ++k) run.broadcast |= static_cast<uint32_t>(nest.stride[k][0] == 0) << (k - 1);
  nest.for_each_run(plan.n_in + 1,
                    [&](const int64_t* offset) { run_staged_blocks(plan, nest, offset, run, buffers); });
}

}  // namespace

void run_pointwise(const KernelArgs& args) {
  Plan plan;
  prepare(plan, args);
  Nest<kOperands> nest;
  nest.build(plan.views, plan.n_in + 1);
  if (nest.empty) return;
  if (choose_staging(plan, nest)) run_staged(plan, nest, args.attr);
  else run_direct(plan, nest, args.attr);
}

uint64_t scalar_bits(const Scalar& value, ScalarType to) {
  switch (to) {
    case ScalarType::Bool: return value.to_bool();
    case ScalarType::Long: return static_cast<uint64_t>(value.to_int64());
    case ScalarType::Float: return std::bit_cast<uint32_t>(value.to<float>());
    default: return std::bit_cast<uint64_t>(value.to_double());
  }
}

}  // namespace sinter

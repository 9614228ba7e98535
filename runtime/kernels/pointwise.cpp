#include "pointwise.h"
#include <bit>
#include <cstring>
#include "../cpu.h"
#include "../error.h"
#include "../mutants.h"
#include "../threads.h"
#include "isa/pointwise_run.h"
#include "nest.h"
#include "scratch.h"

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
  size_t size[kOperands];        // bytes of an element in memory
  ConvertFn convert[kOperands];  // null: memory is used as it is
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
  if ((args.flags & kScalarLhs) && !SINTER_MUTANT(eager_scalar_always_right)) add_scalar(plan, args, first_scalar++);
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

PointwiseRun start_run(const Plan& plan, const Nest<kOperands>& nest, uint64_t attr) {
  PointwiseRun run;
  run.n = nest.size[0];
  run.attr = attr;
  run.broadcast = 0;
  run.stream = false;
  for (int k = 1; k <= plan.n_in; ++k) run.broadcast |= static_cast<uint32_t>(nest.stride[k][0] == 0) << (k - 1);
  return run;
}

/// Results of this size are written past the caches: measured, ordinary stores lose from about 8 MiB on, where the lines
/// of the result are read for nothing; below, the reader usually still finds the result in the cache.
constexpr int64_t kStreamBytes = 16 << 20;

bool may_stream(const Plan& plan, const Nest<kOperands>& nest) {
  if (nest.rank != 1 || nest.size[0] * static_cast<int64_t>(plan.size[0]) < kStreamBytes) return false;
  if (reinterpret_cast<uintptr_t>(plan.views[0]->data) % 64 != 0 && !SINTER_MUTANT(eager_streams_to_any_address)) return false;
  for (int k = 1; k <= plan.n_in; ++k)
    if (plan.views[k]->data == plan.views[0]->data) return false;
  return true;
}

void run_direct(const Plan& plan, const Nest<kOperands>& nest, uint64_t attr, bool stream) {
  PointwiseRun run = start_run(plan, nest, attr);
  run.stream = stream;
  nest.for_each_run(plan.n_in + 1, [&](const int64_t* offset) {
    run.out = address(plan, 0, offset[0]);
    for (int k = 1; k <= plan.n_in; ++k) run.in[k - 1] = address(plan, k, offset[k]);
    plan.fn(run);
  });
  if (run.stream) __builtin_ia32_sfence();
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
  PointwiseRun run = start_run(plan, nest, attr);
  nest.for_each_run(plan.n_in + 1, [&](const int64_t* offset) { run_staged_blocks(plan, nest, offset, run, buffers); });
}

/// Indices [begin, end) of the outermost dimension.
struct Part {
  Plan plan;
  Nest<kOperands> nest;
};
Part part_of(const Plan& plan, const Nest<kOperands>& nest, int64_t begin, int64_t end, TensorView* moved) {
  Part part{plan, nest};
  const int outermost = nest.rank - 1;
  part.nest.size[outermost] = end - begin;
  for (int k = 0; k <= plan.n_in && begin > 0; ++k) {
    moved[k] = *plan.views[k];
    moved[k].data = address(plan, k, begin * nest.stride[k][outermost]);
    part.plan.views[k] = &moved[k];
  }
  return part;
}

/// A rough time of the whole.
int64_t nest_ns(const Plan& plan, const Nest<kOperands>& nest) {
  int64_t elements = 1, bytes = 0;
  for (int d = 0; d < nest.rank; ++d) elements *= nest.size[d];
  for (int k = 0; k <= plan.n_in; ++k)
    if (nest.stride[k][0] != 0 || k == 0) bytes += elements * static_cast<int64_t>(plan.size[k]);
  return estimated_ns(bytes, plan.n_in == 1 ? 16 * elements : elements);
}

void run_nest(Plan& plan, const Nest<kOperands>& nest, uint64_t attr) {
  const bool staged = choose_staging(plan, nest), stream = !staged && may_stream(plan, nest);
  const int64_t ns = nest_ns(plan, nest);
  if (ns < kSplitNs) return staged ? run_staged(plan, nest, attr) : run_direct(plan, nest, attr, stream);
  parallel_ranges(nest.size[nest.rank - 1], nest.rank == 1 ? kBlock : 1, ns, [&](int64_t begin, int64_t end) {
    TensorView moved[kOperands];
    const Part part = part_of(plan, nest, begin, end, moved);
    staged ? run_staged(part.plan, part.nest, attr) : run_direct(part.plan, part.nest, attr, stream);
  });
}

/// Whether operand k runs against the result's memory order (a transposed matrix, say): gathered along the result's rows
/// it would cost a cache line for every element.
bool runs_against(const Nest<kOperands>& nest, int k) {
  if (nest.stride[k][0] <= 1 || nest.size[0] < 8) return false;
  for (int d = 1; d < nest.rank; ++d)
    if (nest.stride[k][d] == 1 && nest.size[d] >= 8) return true;
  return false;
}

/// Copies operand k into the result's order; dimensions it broadcasts over stay out.
void straighten(Plan& plan, Nest<kOperands>& nest, int k, TensorView& copy, Scratch& scratch) {
  const TensorView& view = *plan.views[k];
  SizeVec sizes, from;
  for (int d = nest.rank - 1; d >= 0; --d) {
    if (nest.stride[k][d] == 0) continue;
    sizes.push_back(nest.size[d]);
    from.push_back(nest.stride[k][d]);
  }
  const SizeVec to = contiguous_strides(sizes);
  copy.dtype = view.dtype;
  copy.data = scratch.bytes(static_cast<size_t>(numel_of(sizes)) * element_size(view.dtype));
  copy_strided({copy.data, view.dtype, sizes, to}, {view.data, view.dtype, sizes, from});
  plan.views[k] = &copy;
  size_t next = sizes.size();
  for (int d = 0; d < nest.rank; ++d)
    if (nest.stride[k][d] != 0) nest.stride[k][d] = to[--next];
}

void run_straightened(Plan& plan, Nest<kOperands>& nest, uint64_t attr) {
  TensorView copies[kOperands];
  Scratch scratch[kOperands];
  for (int k = 1; k <= plan.n_in; ++k)
    if (runs_against(nest, k)) straighten(plan, nest, k, copies[k], scratch[k]);
  run_nest(plan, nest, attr);
}

}  // namespace

void run_pointwise(const KernelArgs& args) {
  Plan plan;
  prepare(plan, args);
  Nest<kOperands> nest;
  nest.build(plan.views, plan.n_in + 1);
  if (nest.empty) return;
  bool against = false;
  if (nest.rank > 1)
    for (int k = 1; k <= plan.n_in; ++k) against |= runs_against(nest, k);
  if (against) run_straightened(plan, nest, args.attr);
  else run_nest(plan, nest, args.attr);
}

uint64_t scalar_bits(const Scalar& value, ScalarType to) {
  switch (to) {
    case ScalarType::Bool:
      return value.to_bool();
    case ScalarType::Long:
      return static_cast<uint64_t>(value.to_int64());
    case ScalarType::Float:
      return std::bit_cast<uint32_t>(value.to<float>());
    default:
      return std::bit_cast<uint64_t>(value.to_double());
  }
}

}  // namespace sinter

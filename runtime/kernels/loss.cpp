// Negative log likelihood over rows of log-probabilities, and its gradient.
//
// l[i] = -x[i, target[i]], times weight[target[i]] if given; 0 where target[i] == ignore_index. none: l. sum: the sum of l
// in the order of reduce_order.h. mean: that sum / the sum of the weights used (without weight: their number).
// Backward: dx[i, target[i]] = -g (* weight), g being grad, for mean grad / the sum of the weights used; else 0.
#include "../mutants.h"
#include "reduce.h"
#include "scratch.h"
#include "strided_loop.h"

namespace sinter {

namespace {

/// The operands of either direction; a [C] input is one row.
template <class T>
struct Rows {
  const TensorView *x, *target, *weight;
  int64_t n, row_stride, class_stride, target_stride, ignore;

  Rows(const KernelArgs& args, size_t first) : x(&args.in[first]), target(&args.in[first + 1]) {
    weight = args.in.size() > first + 2 && args.in[first + 2].data ? &args.in[first + 2] : nullptr;
    const bool one = x->sizes.size() == 1;
    n = one ? 1 : x->sizes[0];
    row_stride = one ? 0 : x->strides[0];
    class_stride = x->strides[one ? 0 : 1];
    target_stride = target->sizes.empty() ? 0 : target->strides[0];
    ignore = loss_ignore_index(args.attr);
  }
  int64_t target_of(int64_t i) const { return target->as<const int64_t>()[i * target_stride]; }
  T weight_of(int64_t t) const { return weight ? weight->as<const T>()[t * weight->strides[0]] : T(1); }
};

template <class T>
T sum_of(const T* values, int64_t n) {
  if (n == 0) return 0;
  ReduceSpace space;
  space.push(n, 1, true);
  T sum;
  reduce_to<T>(space, values, ReduceKind::Sum, &sum);
  return sum;
}

/// Sum of the weights of the rows that count.
template <class T>
T weight_sum(const Rows<T>& rows) {
  if (!rows.weight) {
    int64_t used = 0;
    for (int64_t i = 0; i < rows.n; ++i) used += rows.target_of(i) != rows.ignore || SINTER_MUTANT(ignored_targets_counted);
    return static_cast<T>(used);
  }
  Scratch room;
  T* w = room.get<T>(rows.n);
  for (int64_t i = 0; i < rows.n; ++i) {
    const int64_t t = rows.target_of(i);
    w[i] = t == rows.ignore ? T(0) : rows.weight_of(t);
  }
  return sum_of(w, rows.n);
}

template <class T>
void forward(const KernelArgs& args) {
  const Rows<T> rows(args, 0);
  const int reduction = loss_reduction(args.attr);
  const bool each = reduction == 0;
  Scratch room;
  T* loss = each ? args.out.as<T>() : room.get<T>(rows.n);
  const int64_t step = each && !args.out.strides.empty() ? args.out.strides[0] : 1;
  for (int64_t i = 0; i < rows.n; ++i) {
    const int64_t t = rows.target_of(i);
    T v = 0;
    if (t != rows.ignore) {
      v = -rows.x->template as<const T>()[i * rows.row_stride + t * rows.class_stride];
      if (rows.weight) v = v * rows.weight_of(t);
    }
    loss[i * step] = v;
  }
  if (each) return;
  T total = sum_of(loss, rows.n);
  if (reduction == 1) total /= weight_sum(rows);
  *args.out.as<T>() = total;
}

template <class T>
void backward(const KernelArgs& args) {
  const TensorView &grad = args.in[0], &out = args.out;
  const Rows<T> rows(args, 1);
  const int64_t grad_stride = grad.sizes.empty() ? 0 : grad.strides[0];
  const T divisor = loss_reduction(args.attr) == 1 ? weight_sum(rows) : T(1);
  const bool one = out.sizes.size() == 1;
  strided_loop<1>(out.sizes, {out.strides.data()}, [&](const int64_t* o) { out.as<T>()[o[0]] = 0; });
  for (int64_t i = 0; i < rows.n; ++i) {
    const int64_t t = rows.target_of(i);
    if (t == rows.ignore) continue;
    T g = -(grad.as<const T>()[i * grad_stride] / divisor);
    if (rows.weight) g = g * rows.weight_of(t);
    out.as<T>()[(one ? 0 : i * out.strides[0]) + t * out.strides[one ? 0 : 1]] = g;
  }
}

}  // namespace

void run_loss(const KernelArgs& args) {
  const bool is_float = args.out.dtype == ScalarType::Float;
  if (args.op == Op::nll_loss) return is_float ? forward<float>(args) : forward<double>(args);
  is_float ? backward<float>(args) : backward<double>(args);
}

}  // namespace sinter

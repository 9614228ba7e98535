// Bytes as a region: operators of the whole vocabulary with well-formed attributes, in place or not, and any live set.
#pragma once
#include <algorithm>
#include <bit>
#include "bytes.h"
#include "region_tape.h"
#include "runtime/error.h"
#include "runtime/ops/attention.h"

namespace sinter::test {

class RandomRegion {
 public:
  explicit RandomRegion(Bytes& in) : in_(in) {
    tape.random.seed(in.byte());
    tape.specials = in.flag();
    for (int i = 0; i < 3; ++i) add_input();
    for (int i = 0; i < 24 && !in.empty(); ++i) try_step();
    for (size_t s = 0; s < slots_.size(); ++s)
      if (const int root = tape.root(slots_[s]); tape.region.slots[root].input < 0 && in.pick(3) == 0) add_live(root);
    if (tape.region.live.empty() && !slots_.empty() && tape.region.slots[tape.root(slots_.back())].input < 0)
      add_live(tape.root(slots_.back()));
    std::sort(tape.region.live.begin(), tape.region.live.end());
  }
  Tape tape;

 private:
  int any() { return slots_[in_.byte() % slots_.size()]; }
  int maybe() { return in_.flag() ? any() : -1; }
  int64_t small(int n) { return in_.pick(n); }
  Scalar scalar() {
    static const double kValues[] = {0.5, -1.25, 2.0, 0.0, -0.0, 3.0, INFINITY, NAN};
    return in_.flag() ? Scalar(kValues[in_.pick(8)]) : Scalar(small(7) - 2);
  }
  SizeVec shape() {
    SizeVec s;
    for (int d = in_.pick(4); d > 0; --d) s.push_back(in_.pick(8) == 7 ? 17 : in_.pick(5));
    return s;
  }
  std::vector<int64_t> sizes_of(int slot) { return IntArrayRef(tape.meta(slot).sizes).vec(); }
  int64_t rank_of(int slot) { return static_cast<int64_t>(tape.meta(slot).sizes.size()); }

  void add_input() {
    const SizeVec sizes = shape();
    SizeVec strides = contiguous_strides(sizes);
    if (sizes.size() == 2 && in_.flag()) strides = {1, std::max<int64_t>(sizes[0], 1)};
    slots_.push_back(tape.input(sizes, in_.pick(8) < 5 ? kFloat : static_cast<ScalarType>(in_.pick(4)), strides));
  }
  void add_live(int root) {
    auto& live = tape.region.live;
    if (std::find(live.begin(), live.end(), root) == live.end()) live.push_back(root);
  }
  void try_step() {
    try {
      const int s = in_.pick(16) == 15 ? (add_input(), -1) : step(static_cast<Op>(in_.byte() % kOpCount));
      if (s >= 0 && numel_of(tape.meta(s).sizes) <= 4096) slots_.push_back(s);
    } catch (const Error&) {}  // shapes or types that eager refuses
  }

  int step(Op op) {
    switch (op_info(op).kind) {
      case OpKind::Pointwise:
        return pointwise(op);
      case OpKind::Cast:
        return op == Op::to ? tape.call(op, {any()}, in_.pick(4)) : tape.call(op, {any(), any()});
      case OpKind::Fill:
        return tape.call(op, {any()}, 0, {}, {scalar()});
      case OpKind::Reduce:
        return reduction(op);
      case OpKind::Softmax:
        return softmax(op);
      case OpKind::Norm:
        return norm(op);
      case OpKind::Gemm:
        return product(op);
      case OpKind::Attention:
        return attention(op);
      case OpKind::View:
        return view(op);
      case OpKind::Copy:
        return copy(op);
      case OpKind::Index:
        return index(op);
      case OpKind::Loss:
        return loss(op);
      default:
        return made(op);
    }
  }

  int pointwise(Op op) {
    const OpInfo& info = op_info(op);
    const int a = any();
    const auto inplace = static_cast<uint8_t>(in_.pick(4) == 0 ? kInplace : 0);
    if (op == Op::clamp) {
      const uint64_t bounds = 1 + in_.pick(3);
      std::vector<Scalar> values(bounds == 3 ? 2 : 1);
      for (Scalar& v : values) v = scalar();
      return tape.call(op, {a}, bounds, {}, values, inplace);
    }
    if (info.checked && is_integral(tape.meta(a).dtype)) return -1;  // a divisor may be 0: the value check is not run here
    if (info.max_in == 1) return tape.call(op, {a}, 0, {}, {}, inplace);
    if (info.max_in == 3)
      return tape.call(op, {a, any(), any()}, 0, {}, std::vector<Scalar>(info.max_scalars, scalar()),
                       op == Op::where ? 0 : inplace);
    if (op == Op::pow && in_.flag())
      return tape.call(op, {a}, std::bit_cast<uint64_t>(scalar().to_double()), {}, {}, kAttrExponent | inplace);
    const bool second = info.min_in == 2 || in_.flag(), alpha = (op == Op::add || op == Op::sub) && in_.flag();
    std::vector<Scalar> values;
    uint8_t flags = inplace;
    if (!second) {
      values.push_back(scalar());
      flags |= !inplace && in_.flag() ? kScalarLhs : kScalarRhs;
    }
    if (alpha && !(flags & kScalarLhs)) values.push_back(scalar()), flags |= kHasAlpha;
    return second ? tape.call(op, {a, any()}, 0, {}, values, flags) : tape.call(op, {a}, 0, {}, values, flags);
  }

  int reduction(Op op) {
    const int a = any();
    const bool typed = (op == Op::sum || op == Op::mean) && in_.flag();
    const auto dtype = static_cast<uint8_t>(typed ? in_.pick(4) : static_cast<int>(ScalarType::Undefined));
    const uint32_t dims = in_.byte() & ((1u << rank_of(a)) - 1);
    const bool arg = op == Op::argmax || op == Op::argmin;
    if (arg && std::popcount(dims) > 1) return -1;
    std::vector<int64_t> ints;
    if (op == Op::var) ints.push_back(in_.pick(2));
    return tape.call(op, {a}, reduce_attr(dims, in_.flag(), dtype), ints);
  }
  int softmax(Op op) {
    const int a = any();
    const auto dim = static_cast<uint64_t>(in_.pick(static_cast<int>(std::max<int64_t>(rank_of(a), 1))));
    return op_info(op).min_in == 1 ? tape.call(op, {a}, dim) : tape.call(op, {a, any()}, dim);
  }
  int norm(Op op) {
    const int a = any();
    if (rank_of(a) == 0) return -1;
    const auto k = static_cast<uint64_t>(1 + in_.pick(static_cast<int>(rank_of(a))));
    const std::vector<Scalar> eps{Scalar(1e-5)};
    if (op == Op::layer_norm) return tape.call(op, {a, maybe(), maybe()}, k, {}, eps);
    if (op == Op::layer_norm_backward_input) return tape.call(op, {any(), a, maybe()}, k, {}, eps);
    return tape.call(op, {any(), a}, k, {}, eps);
  }
  int product(Op op) {
    if (op == Op::addmm) return tape.call(op, {any(), any(), any()}, 0, {}, {scalar(), scalar()});
    if (op == Op::linear) return tape.call(op, {any(), any(), maybe()});
    return tape.call(op, {any(), any()});
  }

  int attention(Op op) {
    std::vector<int> in{any(), any(), any()};
    const bool causal = in_.flag();
    if (!causal && in_.flag()) in.push_back(any());
    return tape.call(op, in, causal ? kAttentionCausal : uint64_t{0}, {}, {scalar()});
  }

  int view(Op op) {
    const int a = any();
    const int64_t rank = rank_of(a);
    const auto dim = static_cast<uint64_t>(in_.pick(static_cast<int>(std::max<int64_t>(rank, 1))));
    const int64_t size = rank > 0 ? tape.meta(a).sizes[dim] : 0;
    switch (op) {
      case Op::view:
        return tape.call(op, {a}, 0, reshaped(a));
      case Op::transpose:
        return tape.call(op, {a}, dim | static_cast<uint64_t>(in_.pick(4)) << 8);
      case Op::permute:
        return tape.call(op, {a}, 0, permutation(rank));
      case Op::expand: {
        std::vector<int64_t> sizes = sizes_of(a);
        for (int64_t& s : sizes)
          if (s == 1) s = small(5);
        if (in_.flag()) sizes.insert(sizes.begin(), small(4));
        return tape.call(op, {a}, 0, sizes);
      }
      case Op::select:
        return size == 0 ? -1 : tape.call(op, {a}, dim, {in_.byte() % size});
      case Op::slice: {
        if (rank == 0) return -1;
        const int64_t start = in_.byte() % (size + 1), end = start + in_.byte() % (size - start + 1);
        return tape.call(op, {a}, dim, {start, end, 1 + small(3)});
      }
      case Op::squeeze:
        return size == 1 ? tape.call(op, {a}, 1ull << dim) : -1;
      case Op::unsqueeze:
        return tape.call(op, {a}, static_cast<uint64_t>(in_.pick(static_cast<int>(rank) + 1)));
      default:
        return tape.call(op, {a});
    }
  }
  std::vector<int64_t> reshaped(int a) {
    const int64_t n = numel_of(tape.meta(a).sizes);
    const int64_t parts[] = {1, 2, 3, 4, 17};
    const int64_t p = parts[in_.pick(5)];
    if (n % p != 0 || in_.flag()) return {n};
    return in_.flag() ? std::vector<int64_t>{p, n / p} : std::vector<int64_t>{n / p, 1, p};
  }
  std::vector<int64_t> permutation(int64_t rank) {
    std::vector<int64_t> dims;
    for (int64_t d = 0; d < rank; ++d) dims.insert(dims.begin() + in_.byte() % (d + 1), d);
    return dims;
  }

  int copy(Op op) {
    const int a = any();
    const int64_t rank = rank_of(a);
    if (op == Op::clone) return tape.call(op, {a}, in_.pick(2));
    if (op == Op::cat) {
      std::vector<int> in{a};
      for (int i = in_.pick(4); i > 0; --i) in.push_back(in_.flag() ? a : any());
      return rank == 0 ? -1 : tape.call(op, in, static_cast<uint64_t>(in_.pick(static_cast<int>(rank))));
    }
    const auto d = static_cast<uint64_t>(in_.pick(static_cast<int>(rank) + 1));
    std::vector<int64_t> sizes = sizes_of(a), ints;
    if (op == Op::select_backward) {
      const int64_t size = 1 + small(5);
      sizes.insert(sizes.begin() + static_cast<int64_t>(d), size);
      ints.push_back(in_.byte() % size);
    } else {
      if (static_cast<int64_t>(d) == rank) return -1;
      const int64_t step = 1 + small(3), start = small(3),
                    end = start + std::max<int64_t>(sizes[d] * step - small(static_cast<int>(step)), 0);
      sizes[d] = end + small(3);
      ints = {start, end, step};
    }
    ints.insert(ints.end(), sizes.begin(), sizes.end());
    return tape.call(op, {a}, d, ints);
  }

  /// Indices are inputs of their own, made in range.
  int index_input(SizeVec sizes, int64_t range) { return range > 0 ? tape.input(sizes, kLong, {}, range) : -1; }
  int index(Op op) {
    const int a = any();
    const int64_t rank = rank_of(a);
    if (rank == 0) return -1;
    const auto d = static_cast<uint64_t>(in_.pick(static_cast<int>(rank)));
    const int64_t size = tape.meta(a).sizes[op == Op::embedding ? 0 : d];
    SizeVec like = tape.meta(a).sizes;
    switch (op) {
      case Op::gather:
      case Op::scatter_add: {
        like[d] = 1 + small(4);
        const int at = index_input(like, size);
        return at < 0 ? -1 : op == Op::gather ? tape.call(op, {a, at}, d) : tape.call(op, {a, at, any()}, d, {}, {}, in_place());
      }
      case Op::embedding_dense_backward: {
        if (like.size() == 0) return -1;
        like.resize(like.size() - 1);
        const int64_t rows = 1 + small(6);
        return tape.call(op, {a, index_input(like, rows)}, static_cast<uint64_t>(in_.pick(3)), {rows});
      }
      default: {
        const int at = index_input(op == Op::embedding ? shape() : SizeVec{small(5)}, size);
        if (at < 0) return -1;
        if (op == Op::index_add) return tape.call(op, {a, at, any()}, d, {}, {}, in_place());
        return tape.call(op, {a, at}, op == Op::embedding ? static_cast<uint64_t>(in_.pick(3)) : d);
      }
    }
  }
  uint8_t in_place() { return static_cast<uint8_t>(in_.flag() ? kInplace : 0); }

  int loss(Op op) {
    const int a = any();
    const SizeVec sizes = tape.meta(a).sizes;
    if (sizes.empty() || sizes.back() == 0) return -1;
    const int target = tape.input(sizes.size() == 1 ? SizeVec{} : SizeVec{sizes[0]}, kLong, {}, sizes.back());
    const uint64_t attr = loss_attr(in_.pick(3), in_.flag() ? 0 : -100);
    if (op == Op::nll_loss) return tape.call(op, {a, target, maybe()}, attr);
    return tape.call(op, {any(), a, target, maybe()}, attr);
  }

  int made(Op op) {
    const auto dtype = static_cast<uint64_t>(in_.pick(4));
    const SizeVec sizes = shape();
    const std::vector<int64_t> ints = IntArrayRef(sizes).vec();
    const Scalar counter(int64_t{in_.byte()}), seed(int64_t{in_.byte()});
    switch (op) {
      case Op::full:
        return tape.call(op, {}, dtype, ints, {scalar()});
      case Op::arange:
        return tape.call(op, {}, dtype, {small(9)}, {scalar(), scalar()});
      case Op::randint:
        return tape.call(op, {}, dtype, ints, {counter, seed, Scalar(-3), Scalar(5)});
      case Op::bernoulli:
        return tape.call(op, {}, dtype, ints, {counter, seed, Scalar(0.4)});
      default:
        return tape.call(op, {}, static_cast<uint64_t>(in_.flag() ? kFloat : kDouble), ints, {counter, seed});
    }
  }

  Bytes& in_;
  std::vector<int> slots_;
};

}  // namespace sinter::test

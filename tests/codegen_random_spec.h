// Random kernels for the tests of generated code.
#pragma once
#include "codegen_reference.h"
#include "runtime/stress.h"

namespace sinter::codegen::reference {

inline constexpr ScalarType kTypes[] = {kBool, kLong, kFloat, kDouble};
inline constexpr ScalarType kNumbers[] = {kLong, kFloat, kDouble};

/// Emitter choices drawn at random, others after each next(); as they were at the end.
class StressedKernels {
 public:
  StressedKernels() { next(); }
  ~StressedKernels() { set_stress(before_); }
  void next() const {
    Stress s = before_;
    s.kernel_seed = ++seed_;
    set_stress(s);
  }

 private:
  Stress before_ = stress();
  mutable uint64_t seed_ = 100;
};

/// A random kernel: values of every type, random strides, reductions and what follows them.
class RandomSpec {
 public:
  explicit RandomSpec(uint64_t seed) : rng_(seed), mode_(static_cast<LoopMode>(pick(3))), b_(mode_, sizes()) { build(); }
  const LoopSpec& spec() const { return b_.spec; }

 private:
  uint64_t pick(uint64_t n) { return rng_() % n; }
  SizeVec sizes() {
    static constexpr int64_t lengths[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 40, 65, 100};
    const size_t rank = 1 + pick(3) + (mode_ == LoopMode::Column);
    SizeVec s;
    for (size_t d = 0; d < rank; ++d)
      s.push_back(d + 1 < rank ? 1 + static_cast<int64_t>(pick(4)) : lengths[pick(std::size(lengths))]);
    if (mode_ == LoopMode::Column) s[rank - 2] = lengths[pick(std::size(lengths))];
    return s;
  }
  size_t axis() const { return b_.spec.sizes.size() - (mode_ == LoopMode::Column ? 2 : 1); }

  SizeVec strides() {
    SizeVec s = b_.dense();
    const uint64_t kind = pick(6);
    if (kind == 0) {  // reversed order of dimensions
      int64_t step = 1;
      for (size_t d = 0; d < s.size(); ++d) {
        s[d] = step;
        step *= b_.spec.sizes[d];
      }
    } else if (kind == 1) {
      for (size_t d = 0; d < s.size(); ++d) s[d] *= 2;
    } else if (kind == 2) {
      for (size_t d = 0; d < s.size(); ++d)
        if (pick(2)) s[d] = 0;
    }
    return s;
  }

  int add_node() {
    if (nodes_.size() < 3 || pick(6) == 0) {
      const uint64_t kind = pick(8);
      if (kind == 0) return b_.scalar(kTypes[pick(4)]);
      if (kind == 1) return b_.constant(kTypes[pick(4)], static_cast<double>(pick(7)) - 3);
      if (kind == 2) return b_.iota(static_cast<int>(pick(b_.spec.sizes.size())), kNumbers[pick(3)]);
      return b_.load(kTypes[pick(4)], strides());
    }
    const int x = any();
    if (pick(6) == 0) return b_.cast_to(kTypes[pick(4)], x);
    if (mode_ != LoopMode::Pointwise && pick(5) == 0 && type(x) != kBool) return b_.reduce(static_cast<ReduceKind>(pick(3)), x);
    static constexpr Op ops[] = {Op::add,     Op::sub,  Op::mul,   Op::div,  Op::minimum, Op::maximum,     Op::eq,
                                 Op::lt,      Op::ge,   Op::exp,   Op::tanh, Op::sin,     Op::log,         Op::relu,
                                 Op::neg,     Op::abs,  Op::where, Op::sqrt, Op::sigmoid, Op::logical_and, Op::logical_not,
                                 Op::addcmul, Op::silu, Op::gelu,  Op::erf,  Op::sign,    Op::cos,         Op::rsqrt};
    const Op op = ops[pick(std::size(ops))];
    const OpInfo& info = op_info(op);
    std::vector<int> in;
    for (int i = 0; i < info.min_in + (info.min_in == 1 && info.max_in == 2); ++i)
      in.push_back(of_type(op == Op::where && i == 0 ? kBool : type(x)));
    return can_emit(op, type(x)) ? b_.compute(op, in) : x;
  }

  ScalarType type(int n) const { return b_.spec.nodes[static_cast<size_t>(n)].dtype; }
  int any() { return nodes_[nodes_.size() - 1 - pick(std::min<size_t>(nodes_.size(), reach_))]; }
  int of_type(ScalarType t) {
    for (int tries = 0; tries < 6; ++tries)
      if (const int n = any(); type(n) == t) return n;
    return b_.cast_to(t, any());
  }

  void build() {
    const bool large = pick(5) == 0;  // more values than registers
    const size_t count = large ? 40 + pick(160) : 4 + pick(28);
    reach_ = large ? 60 : 8;
    while (nodes_.size() < count) nodes_.push_back(add_node());
    const size_t stores = 1 + pick(large ? 9 : 3);
    for (size_t i = 0; i < stores; ++i) {
      const int n = nodes_[nodes_.size() - 1 - pick(std::min<size_t>(nodes_.size(), (large ? 12 : 1) * i + 1))];
      SizeVec s = b_.dense();
      if (!varies(n) && mode_ != LoopMode::Pointwise && pick(4)) {  // once per row or column
        SizeVec kept = b_.spec.sizes;
        kept[axis()] = 1;
        s = contiguous_strides(kept);
        s[axis()] = 0;
      }
      b_.store(n, s);
    }
  }

  bool varies(int n) const {
    const LoopNode& x = b_.spec.nodes[static_cast<size_t>(n)];
    if (x.kind == LoopKind::Load) return b_.spec.operands[static_cast<size_t>(x.index)].strides[axis()] != 0;
    if (x.kind == LoopKind::Iota) return static_cast<size_t>(x.index) == axis();
    if (x.kind == LoopKind::Reduce) return false;
    for (int i = 0; i < x.n_in; ++i)
      if (varies(x.in[i])) return true;
    return false;
  }

  std::mt19937_64 rng_;
  LoopMode mode_;
  size_t reach_ = 8;  // how far back operands are taken from
  SpecBuilder b_;
  std::vector<int> nodes_;
};

}  // namespace sinter::codegen::reference

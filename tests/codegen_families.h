// Every family of generated kernels, as a function of the length of the last dimension.
#pragma once
#include <functional>
#include "codegen_reference.h"

namespace sinter::codegen::reference {

struct Family {
  std::string name;
  std::function<LoopSpec(int64_t)> make;
  std::vector<std::pair<int, int>> shared = {};  // output, input: one memory
};

inline const char* type_name(ScalarType t) { return t == kBool ? "bool" : t == kLong ? "i64" : t == kFloat ? "f32" : "f64"; }

inline void add_typed_pointwise(std::vector<Family>& all) {
  const auto add = [&](const std::string& name, auto make) { all.push_back({name, make}); };
  for (ScalarType t : {kBool, kLong, kFloat, kDouble}) {
    const std::string type = std::string(" ") + type_name(t);
    add("copy" + type, [t](int64_t n) {
      SpecBuilder b(LoopMode::Pointwise, {n});
      b.store(b.load(t));
      return b.spec;
    });
    add("binary" + type, [t](int64_t n) {
      SpecBuilder b(LoopMode::Pointwise, {n});
      b.store(b.compute(t == kBool ? Op::logical_xor : Op::mul, {b.load(t), b.load(t)}));
      return b.spec;
    });
    add("scalar and constant" + type, [t](int64_t n) {
      SpecBuilder b(LoopMode::Pointwise, {n});
      const int x = b.load(t), m = b.compute(Op::ne, {x, b.scalar(t)});
      b.store(b.compute(Op::where, {m, x, b.constant(t, 1)}));
      b.store(m);
      b.store(b.scalar(t));
      return b.spec;
    });
    add("iota" + type, [t](int64_t n) {
      SpecBuilder b(LoopMode::Pointwise, {2, n});
      b.store(b.compute(Op::ge, {b.cast_to(t, b.iota(1)), b.load(t)}));
      b.store(b.iota(0));
      return b.spec;
    });
    for (ScalarType to : {kBool, kLong, kFloat, kDouble})
      if (t != to)
        add("cast" + type + " to " + type_name(to), [t, to](int64_t n) {
          SpecBuilder b(LoopMode::Pointwise, {n});
          b.store(b.cast_to(to, b.load(t)));
          return b.spec;
        });
  }
}

inline std::vector<Family> pointwise_families() {
  std::vector<Family> all;
  const auto add = [&](const std::string& name, auto make) { all.push_back({name, make}); };
  add_typed_pointwise(all);
  for (Op op : {Op::sin, Op::exp, Op::tanh, Op::log, Op::silu, Op::gelu, Op::sqrt, Op::sigmoid, Op::erf})
    for (ScalarType t : {kFloat, kDouble})
      if (can_emit(op, t))
        add(std::string(op_info(op).name) + " " + type_name(t), [op, t](int64_t n) {
          SpecBuilder b(LoopMode::Pointwise, {n});
          b.store(b.compute(op, {b.load(t)}));
          return b.spec;
        });
  add("every type in one kernel", spec_of_every_type);
  add("more operands than registers", [](int64_t n) {
    SpecBuilder b(LoopMode::Pointwise, {n});
    int s = b.load(kFloat);
    std::vector<int> masks;
    for (int i = 0; i < 14; ++i) s = b.compute(Op::add, {s, b.load(kFloat)});
    for (int i = 0; i < 4; ++i) masks.push_back(b.load(kBool));
    b.store(s);
    for (int m : masks) b.store(b.compute(Op::logical_not, {m}));
    b.store(b.compute(Op::where, {masks[0], s, b.load(kFloat)}));
    return b.spec;
  });
  add("in place", [](int64_t n) {
    SpecBuilder b(LoopMode::Pointwise, {n});
    const int x = b.load(kFloat);
    b.store(b.compute(Op::add, {x, b.load(kFloat)}));
    return b.spec;
  });
  all.back().shared = {{2, 0}};
  return all;
}

inline void add_single_reductions(std::vector<Family>& all) {
  const auto add = [&](const std::string& name, auto make) { all.push_back({name, make}); };
  for (ScalarType t : {kLong, kFloat, kDouble})
    for (ReduceKind kind : {ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min}) {
      const std::string type = std::string(" ") + std::to_string(static_cast<int>(kind)) + " " + type_name(t);
      add("rows" + type, [t, kind](int64_t n) {
        SpecBuilder b(LoopMode::Row, {3, n});
        b.store(b.reduce(kind, b.load(t)), {1, 0});
        return b.spec;
      });
      add("rows along a stride" + type, [t, kind](int64_t n) {
        SpecBuilder b(LoopMode::Row, {2, n});
        b.store(b.reduce(kind, b.load(t, {1, 2})), {1, 0});
        return b.spec;
      });
      add("columns" + type, [t, kind](int64_t n) {
        SpecBuilder b(LoopMode::Column, {2, 5, n});
        b.store(b.reduce(kind, b.load(t)), {n, 0, 1});
        return b.spec;
      });
      add("columns along the reduced dimension" + type, [t, kind](int64_t n) {
        SpecBuilder b(LoopMode::Column, {n, 7});
        b.store(b.reduce(kind, b.load(t)), {0, 1});
        return b.spec;
      });
    }
}

inline std::vector<Family> reduction_families() {
  std::vector<Family> all;
  const auto add = [&](const std::string& name, auto make) { all.push_back({name, make}); };
  add_single_reductions(all);
  for (ScalarType t : {kFloat, kDouble}) {
    add(std::string("softmax ") + type_name(t), [t](int64_t n) {
      SpecBuilder b(LoopMode::Row, {3, n});
      const int x = b.load(t), e = b.compute(Op::exp, {b.compute(Op::sub, {x, b.reduce(ReduceKind::Max, x)})});
      b.store(b.compute(Op::mul, {e, b.compute(Op::reciprocal, {b.reduce(ReduceKind::Sum, e)})}));
      return b.spec;
    });
    add(std::string("layer norm ") + type_name(t), [t](int64_t n) {
      SpecBuilder b(LoopMode::Row, {3, n});
      const int x = b.load(t), w = b.load(t, {0, 1}), bias = b.load(t, {0, 1}), count = b.constant(t, static_cast<double>(n));
      const int mean = b.compute(Op::div, {b.reduce(ReduceKind::Sum, x), count}), d = b.compute(Op::sub, {x, mean});
      const int var = b.compute(Op::div, {b.reduce(ReduceKind::Sum, b.compute(Op::mul, {d, d})), count});
      const int r = b.compute(Op::rsqrt, {b.compute(Op::add, {var, b.scalar(t)})});
      b.store(b.compute(Op::add, {b.compute(Op::mul, {b.compute(Op::mul, {d, r}), w}), bias}));
      b.store(mean, {1, 0});
      b.store(r, {1, 0});
      return b.spec;
    });
    add(std::string("softmax down the columns ") + type_name(t), [t](int64_t n) {
      SpecBuilder b(LoopMode::Column, {4, n});
      const int x = b.load(t), e = b.compute(Op::exp, {b.compute(Op::sub, {x, b.reduce(ReduceKind::Max, x)})});
      b.store(b.compute(Op::mul, {e, b.compute(Op::reciprocal, {b.reduce(ReduceKind::Sum, e)})}));
      return b.spec;
    });
  }
  add("cross entropy", [](int64_t n) {
    SpecBuilder b(LoopMode::Row, {3, n});
    const int x = b.load(kFloat), hit = b.compute(Op::eq, {b.iota(1), b.load(kLong, {1, 0})});
    const int d = b.compute(Op::sub, {x, b.reduce(ReduceKind::Max, x)});
    const int lse = b.compute(Op::log, {b.reduce(ReduceKind::Sum, b.compute(Op::exp, {d}))});
    const int picked = b.reduce(ReduceKind::Sum, b.compute(Op::where, {hit, d, b.constant(kFloat, 0)}));
    b.store(b.compute(Op::sub, {lse, picked}), {1, 0});
    return b.spec;
  });
  add("any and all of bools", [](int64_t n) {
    SpecBuilder b(LoopMode::Row, {3, n});
    const int x = b.cast_to(kLong, b.load(kBool));
    b.store(b.cast_to(kBool, b.reduce(ReduceKind::Max, x)), {1, 0});
    b.store(b.cast_to(kBool, b.reduce(ReduceKind::Min, x)), {1, 0});
    b.store(b.compute(Op::eq, {x, b.reduce(ReduceKind::Sum, x)}));
    return b.spec;
  });
  add("row result over its input", [](int64_t n) {
    SpecBuilder b(LoopMode::Row, {3, n});
    const int x = b.load(kFloat);
    b.store(b.compute(Op::sub, {x, b.reduce(ReduceKind::Sum, x)}));
    return b.spec;
  });
  all.back().shared = {{1, 0}};
  return all;
}

inline std::vector<Family> strided_families() {
  std::vector<Family> all;
  const auto add = [&](const std::string& name, auto make) { all.push_back({name, make}); };
  add("n rows of three", [](int64_t n) {
    SpecBuilder b(LoopMode::Pointwise, {n, 3});
    b.store(b.compute(Op::add, {b.load(kFloat), b.load(kFloat, {0, 1})}));
    return b.spec;
  });
  add("sums of n rows", [](int64_t n) {
    SpecBuilder b(LoopMode::Row, {n, 5});
    b.store(b.reduce(ReduceKind::Sum, b.load(kFloat)), {1, 0});
    return b.spec;
  });
  for (ScalarType t : {kBool, kLong, kFloat, kDouble}) {
    const std::string type = std::string(" ") + type_name(t);
    for (int64_t step : {2, 3, 17, -1, -2}) {
      add("load with stride " + std::to_string(step) + type, [t, step](int64_t n) {
        SpecBuilder b(LoopMode::Pointwise, {n});
        b.store(b.load(t, {step}));
        return b.spec;
      });
      add("store with stride " + std::to_string(step) + type, [t, step](int64_t n) {
        SpecBuilder b(LoopMode::Pointwise, {n});
        b.store(b.load(t), {step});
        return b.spec;
      });
    }
    add("broadcast both ways" + type, [t](int64_t n) {
      SpecBuilder b(LoopMode::Pointwise, {3, n});
      const int per_row = b.load(t, {1, 0}), per_column = b.load(t, {0, 1}), one = b.load(t, {0, 0});
      b.store(b.compute(Op::ne, {per_row, per_column}));
      b.store(b.compute(Op::where, {b.compute(Op::ne, {per_column, one}), per_row, one}));
      return b.spec;
    });
    add("transposed" + type, [t](int64_t n) {
      SpecBuilder b(LoopMode::Pointwise, {3, n});
      b.store(b.load(t, {1, 3}));
      b.store(b.load(t), {1, 3});
      return b.spec;
    });
    add("rows with gaps" + type, [t](int64_t n) {
      SpecBuilder b(LoopMode::Pointwise, {2, 3, n});
      b.store(b.load(t, {4 * (n + 5), n + 5, 1}), {3 * (n + 1), n + 1, 1});
      return b.spec;
    });
    add("backwards rows" + type, [t](int64_t n) {
      SpecBuilder b(LoopMode::Pointwise, {3, n});
      b.store(b.load(t, {-n, 1}));
      b.store(b.load(t), {-2 * n, -2});
      return b.spec;
    });
  }
  return all;
}

/// Position of the first element among the elements an operand covers, and how many those are.
struct Extent {
  int64_t first = 0, elements = 0;
};
inline Extent extent_of(const LoopSpec& spec, const LoopOperand& o) {
  int64_t low = 0, high = 0;
  for (size_t d = 0; d < spec.sizes.size(); ++d) {
    if (spec.sizes[d] == 0 && o.strides[d] != 0) return {};
    const int64_t reach = std::max<int64_t>(spec.sizes[d] - 1, 0) * o.strides[d];
    (reach < 0 ? low : high) += reach;
  }
  return {-low, high - low + 1};
}

}  // namespace sinter::codegen::reference

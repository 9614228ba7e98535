// Reference for generated kernels: a LoopSpec evaluated one element at a time, and memory that faults just outside.
#pragma once
#include <sys/mman.h>
#include <unistd.h>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>
#include "any_size_spec.h"
#include "codegen/kernel.h"
#include "runtime/cpu.h"
#include "runtime/kernels/reduce_order.h"
#include "runtime/ops/pointwise.h"

namespace sinter::codegen::reference {

enum class Kind : uint8_t { Bool, I32, I64, F32, F64 };

/// One number: the third instantiation of the expressions, on plain C++ scalars.
struct Value {
  Kind kind = Kind::F32;
  uint64_t bits = 0;
  float f() const { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }
  double d() const { return std::bit_cast<double>(bits); }
  int64_t i() const { return static_cast<int64_t>(bits); }
  int32_t w() const { return static_cast<int32_t>(bits); }
  static Value of(float v) { return {Kind::F32, std::bit_cast<uint32_t>(v)}; }
  static Value of(double v) { return {Kind::F64, std::bit_cast<uint64_t>(v)}; }
  static Value of(int64_t v) { return {Kind::I64, static_cast<uint64_t>(v)}; }
  static Value of(int32_t v) { return {Kind::I32, static_cast<uint32_t>(v)}; }
  static Value of(bool v) { return {Kind::Bool, v}; }
};

struct ScalarBuilder {
  using V = Value;
  template <class F>
  static V same(V a, V b, F f) {
    switch (a.kind) {
      case Kind::F32:
        return V::of(static_cast<float>(f(a.f(), b.f())));
      case Kind::F64:
        return V::of(static_cast<double>(f(a.d(), b.d())));
      case Kind::I32:
        return V::of(static_cast<int32_t>(f(static_cast<uint32_t>(a.w()), static_cast<uint32_t>(b.w()))));
      default:
        return V::of(static_cast<int64_t>(f(static_cast<uint64_t>(a.i()), static_cast<uint64_t>(b.i()))));
    }
  }
  template <class F>
  static V test(V a, V b, F f) {
    switch (a.kind) {
      case Kind::F32:
        return V::of(bool(f(a.f(), b.f())));
      case Kind::F64:
        return V::of(bool(f(a.d(), b.d())));
      case Kind::I32:
        return V::of(bool(f(a.w(), b.w())));
      default:
        return V::of(bool(f(a.i(), b.i())));
    }
  }
  template <class F>
  static V floating(V a, F f) {
    return a.kind == Kind::F32 ? V::of(float(f(a.f()))) : V::of(double(f(a.d())));
  }
  template <class F>
  static V raw(V a, V b, F f) {
    const uint64_t mask = a.kind == Kind::F32 || a.kind == Kind::I32 ? 0xffffffffu : ~uint64_t{0};
    return {a.kind, f(a.bits, b.bits) & mask};
  }

  template <ScalarType T, class X>
  V k(X v) {
    if constexpr (T == ScalarType::Float) return V::of(static_cast<float>(v));
    else if constexpr (T == ScalarType::Double) return V::of(static_cast<double>(v));
    else if constexpr (T == ScalarType::Long) return V::of(static_cast<int64_t>(v));
    else return V::of(v != 0);
  }
  V f32(float v) { return V::of(v); }
  V i32(int32_t v) { return V::of(v); }
  V add(V a, V b) {
    return same(a, b, [](auto x, auto y) { return x + y; });
  }
  V sub(V a, V b) {
    return same(a, b, [](auto x, auto y) { return x - y; });
  }
  V mul(V a, V b) {
    return same(a, b, [](auto x, auto y) { return x * y; });
  }
  V div(V a, V b) { return a.kind == Kind::F32 ? V::of(a.f() / b.f()) : V::of(a.d() / b.d()); }
  V neg(V a) {
    return raw(a, a, [&](uint64_t x, uint64_t) { return x ^ (a.kind == Kind::F32 ? 0x80000000u : uint64_t{1} << 63); });
  }
  V abs(V a) {
    return raw(a, a, [&](uint64_t x, uint64_t) { return x & (a.kind == Kind::F32 ? 0x7fffffffu : ~(uint64_t{1} << 63)); });
  }
  V sqrt(V a) {
    return floating(a, [](auto x) { return std::sqrt(x); });
  }
  V fma(V a, V b, V c) {
    return a.kind == Kind::F32 ? V::of(std::fma(a.f(), b.f(), c.f())) : V::of(std::fma(a.d(), b.d(), c.d()));
  }
  V fnma(V a, V b, V c) { return fma(neg(a), b, c); }
  V scalef(V p, V n) { return V::of(static_cast<float>(std::ldexp(static_cast<double>(p.f()), static_cast<int>(n.f())))); }
  V min_x86(V a, V b) { return lt(a, b).bits ? a : b; }
  V max_x86(V a, V b) { return gt(a, b).bits ? a : b; }
  V round_even(V a) {
    return floating(a, [](auto x) { return std::nearbyint(x); });
  }
  V floor(V a) {
    return floating(a, [](auto x) { return std::floor(x); });
  }
  V trunc(V a) {
    return floating(a, [](auto x) { return std::trunc(x); });
  }
  V eq(V a, V b) {
    return test(a, b, [](auto x, auto y) { return x == y; });
  }
  V ne(V a, V b) {
    return test(a, b, [](auto x, auto y) { return x != y; });
  }
  V lt(V a, V b) {
    return test(a, b, [](auto x, auto y) { return x < y; });
  }
  V le(V a, V b) {
    return test(a, b, [](auto x, auto y) { return x <= y; });
  }
  V gt(V a, V b) {
    return test(a, b, [](auto x, auto y) { return x > y; });
  }
  V ge(V a, V b) {
    return test(a, b, [](auto x, auto y) { return x >= y; });
  }
  V mask_and(V a, V b) { return V::of((a.bits & b.bits) != 0); }
  V mask_or(V a, V b) { return V::of((a.bits | b.bits) != 0); }
  V mask_xor(V a, V b) { return V::of(a.bits != b.bits); }
  V mask_not(V a) { return V::of(a.bits == 0); }
  V select(V m, V a, V b) { return m.bits ? a : b; }
  V as_i32(V a) { return {Kind::I32, a.bits}; }
  V as_f32(V a) { return {Kind::F32, a.bits}; }
  V to_i32(V a) {
    const float r = std::nearbyint(a.f());
    return V::of(r >= -2147483648.0f && r < 2147483648.0f ? static_cast<int32_t>(r) : INT32_MIN);
  }
  V to_f32(V a) { return V::of(static_cast<float>(a.w())); }
  V i32_add(V a, V b) { return add(a, b); }
  V i32_sub(V a, V b) { return sub(a, b); }
  V i32_and(V a, V b) { return bit_and(a, b); }
  V i32_or(V a, V b) { return bit_or(a, b); }
  V i32_xor(V a, V b) { return bit_xor(a, b); }
  V i32_shl(V a, int k) { return V::of(static_cast<int32_t>(static_cast<uint32_t>(a.bits) << k)); }
  V i32_shr(V a, int k) { return V::of(static_cast<int32_t>(static_cast<uint32_t>(a.bits) >> k)); }
  V i32_sar(V a, int k) { return V::of(a.w() >> k); }
  V i32_eq(V a, V b) { return eq(a, b); }
  V i32_gt(V a, V b) { return gt(a, b); }
  V i32_has(V a, V bit) { return eq(bit_and(a, bit), bit); }
  V bit_and(V a, V b) {
    return raw(a, b, [](uint64_t x, uint64_t y) { return x & y; });
  }
  V bit_or(V a, V b) {
    return raw(a, b, [](uint64_t x, uint64_t y) { return x | y; });
  }
  V bit_xor(V a, V b) {
    return raw(a, b, [](uint64_t x, uint64_t y) { return x ^ y; });
  }
  V bit_andnot(V a, V b) {
    return raw(a, b, [](uint64_t x, uint64_t y) { return ~x & y; });
  }
  V slow_lanes(V m, V fast, V x, float (*fn)(float)) { return m.bits ? V::of(fn(x.f())) : fast; }
  V call1(V x, float (*fn)(float)) { return V::of(fn(x.f())); }
  V call1(V x, double (*fn)(double)) { return V::of(fn(x.d())); }
  V call2(V x, V y, float (*fn)(float, float)) { return V::of(fn(x.f(), y.f())); }
  V call2(V x, V y, double (*fn)(double, double)) { return V::of(fn(x.d(), y.d())); }
  V call2(V x, V y, int64_t (*fn)(int64_t, int64_t)) { return V::of(fn(x.i(), y.i())); }
};

inline Kind kind_of(ScalarType t) {
  constexpr Kind kinds[] = {Kind::Bool, Kind::I64, Kind::F32, Kind::F64};
  return kinds[static_cast<int>(t)];
}

inline int64_t truncated(double d) { return d >= -0x1p63 && d < 0x1p63 ? static_cast<int64_t>(d) : INT64_MIN; }

inline Value cast(ScalarType to, Value v) {
  const Kind k = kind_of(to);
  if (k == v.kind) return v;
  switch (k) {
    case Kind::Bool:
      return Value::of(v.kind == Kind::F32 ? v.f() != 0 : v.kind == Kind::F64 ? v.d() != 0 : v.bits != 0);
    case Kind::I64:
      return Value::of(v.kind == Kind::F32 ? truncated(v.f()) : v.kind == Kind::F64 ? truncated(v.d()) : v.i());
    case Kind::F32:
      return Value::of(v.kind == Kind::F64 ? static_cast<float>(v.d()) : static_cast<float>(v.i()));
    default:
      return Value::of(v.kind == Kind::F32 ? static_cast<double>(v.f()) : static_cast<double>(v.i()));
  }
}

/// NaNs compare equal: payloads are free.
inline bool same(Value a, Value b) {
  if (a.kind == Kind::F32 && std::isnan(a.f()) && std::isnan(b.f())) return true;
  if (a.kind == Kind::F64 && std::isnan(a.d()) && std::isnan(b.d())) return true;
  return a.bits == b.bits;
}

inline Value read(const void* base, ScalarType t, int64_t element) {
  Value v{kind_of(t), 0};
  const size_t n = element_size(t);
  std::memcpy(&v.bits, static_cast<const uint8_t*>(base) + element * static_cast<int64_t>(n), n);
  return v;
}
inline void write(void* base, ScalarType t, int64_t element, Value v) {
  const size_t n = element_size(t);
  std::memcpy(static_cast<uint8_t*>(base) + element * static_cast<int64_t>(n), &v.bits, n);
}

class Interpreter {
 public:
  Interpreter(const LoopSpec& spec, std::vector<void*> operands, std::vector<uint64_t> scalars)
      : spec_(spec), operands_(std::move(operands)), scalars_(std::move(scalars)) {
    axis_ = spec.sizes.size() - (spec.mode == LoopMode::Column ? 2 : 1);
  }

  /// All results first, then the writes, so that shared memory is read before it is written.
  void run() {
    struct Write {
      const LoopStore* store;
      int64_t at;
      Value value;
    };
    std::vector<Write> writes;
    std::vector<int64_t> index(spec_.sizes.size(), 0);
    for (const LoopStore& s : spec_.stores) visit(s, 0, index, [&](int64_t at, Value v) { writes.push_back({&s, at, v}); });
    for (const Write& w : writes) {
      const auto o = static_cast<size_t>(w.store->operand);
      write(operands_[o], spec_.operands[o].dtype, w.at, w.value);
    }
  }

 private:
  template <class F>
  void visit(const LoopStore& s, size_t dim, std::vector<int64_t>& index, F out) {
    const LoopOperand& o = spec_.operands[static_cast<size_t>(s.operand)];
    if (dim == spec_.sizes.size()) {
      int64_t at = 0;
      for (size_t d = 0; d < dim; ++d) at += index[d] * o.strides[d];
      Memo memo(spec_.nodes.size());
      out(at, value(s.node, index, memo));
      return;
    }
    const bool once = spec_.mode != LoopMode::Pointwise && dim == axis_ && o.strides[dim] == 0;
    for (index[dim] = 0; index[dim] < (once ? 1 : spec_.sizes[dim]); ++index[dim]) visit(s, dim + 1, index, out);
    index[dim] = 0;
  }

  using Memo = std::vector<std::optional<Value>>;  // values of the nodes at one index

  Value value(int n, const std::vector<int64_t>& index, Memo& memo) {
    std::optional<Value>& known = memo[static_cast<size_t>(n)];
    if (!known) known = evaluate(n, index, memo);
    return *known;
  }

  Value evaluate(int n, const std::vector<int64_t>& index, Memo& memo) {
    const LoopNode& x = spec_.nodes[static_cast<size_t>(n)];
    switch (x.kind) {
      case LoopKind::Load: {
        const LoopOperand& o = spec_.operands[static_cast<size_t>(x.index)];
        int64_t at = 0;
        for (size_t d = 0; d < index.size(); ++d) at += index[d] * o.strides[d];
        return read(operands_[static_cast<size_t>(x.index)], x.dtype, at);
      }
      case LoopKind::Scalar:
        return read(&scalars_[static_cast<size_t>(x.index)], x.dtype, 0);
      case LoopKind::Constant:
        return read(&x.bits, x.dtype, 0);
      case LoopKind::Iota:
        return cast(x.dtype, Value::of(index[static_cast<size_t>(x.index)]));
      case LoopKind::Cast:
        return cast(x.dtype, value(x.in[0], index, memo));
      case LoopKind::Reduce:
        return reduce(n, index);
      default:
        break;
    }
    Value in[4];
    for (int i = 0; i < x.n_in; ++i) in[i] = value(x.in[i], index, memo);
    const ScalarType compute = spec_.nodes[static_cast<size_t>(x.in[x.op == Op::where ? 1 : 0])].dtype;
    ScalarBuilder b;
    return pointwise<ScalarBuilder>(b, x.op, compute, in, x.n_in, x.bits);
  }

  static Value combine(ReduceKind kind, Value a, Value b) {
    ScalarBuilder s;
    if (kind == ReduceKind::Sum) return s.add(a, b);
    const bool fp = a.kind == Kind::F32 || a.kind == Kind::F64;
    if (fp && s.ne(a, a).bits) return a;
    const bool better = kind == ReduceKind::Max ? s.gt(b, a).bits : s.lt(b, a).bits;
    return better || (fp && s.ne(b, b).bits) ? b : a;
  }

  Value start(ReduceKind kind, ScalarType t) {
    const double inf = kind == ReduceKind::Max ? -HUGE_VAL : HUGE_VAL;
    if (kind == ReduceKind::Sum) return cast(t, Value::of(int64_t{0}));
    if (t == ScalarType::Long) return Value::of(kind == ReduceKind::Max ? INT64_MIN : INT64_MAX);
    return cast(t, Value::of(inf));
  }

  Value reduce(int n, std::vector<int64_t> index) {
    index[axis_] = 0;
    const auto key = std::make_pair(n, index);
    if (const auto found = reduced_.find(key); found != reduced_.end()) return found->second;
    const LoopNode& x = spec_.nodes[static_cast<size_t>(n)];
    const int64_t count = spec_.sizes[axis_];
    const int lanes = spec_.mode == LoopMode::Row ? kReduceLanes : 1;
    const int64_t visits = (count + lanes - 1) / lanes, block = reduce_block_steps_of(visits);
    std::vector<Value> acc0(static_cast<size_t>(lanes), start(x.reduce, x.dtype)), acc1 = acc0;
    const bool levels = x.reduce == ReduceKind::Sum && visits > block;
    const auto fold = [&] {
      for (size_t l = 0; l < acc0.size(); ++l) {
        acc1[l] = combine(x.reduce, acc1[l], acc0[l]);
        acc0[l] = start(x.reduce, x.dtype);
      }
    };
    Value result;
    for (int64_t r = 0; r < count; ++r) {
      index[axis_] = r;
      Memo memo(spec_.nodes.size());
      const Value v = value(x.in[0], index, memo);
      if (count == 1) result = v;
      Value& a = acc0[static_cast<size_t>(r % lanes)];
      a = combine(x.reduce, a, v);
      if (levels && (r + 1) % (lanes * block) == 0) fold();
    }
    if (levels) fold();
    std::vector<Value>& lane = levels ? acc1 : acc0;
    for (int s = lanes / 2; s >= 1; s /= 2)
      for (int l = 0; l < s; ++l)
        lane[static_cast<size_t>(l)] = combine(x.reduce, lane[static_cast<size_t>(l)], lane[static_cast<size_t>(l + s)]);
    if (count != 1) result = lane[0];
    index[axis_] = 0;
    return reduced_[key] = result;
  }

  const LoopSpec& spec_;
  std::vector<void*> operands_;
  std::vector<uint64_t> scalars_;
  size_t axis_;
  std::map<std::pair<int, std::vector<int64_t>>, Value> reduced_;
};

/// `bytes` of memory that end at a page that faults (or, `at_start`, begin after one), canaries filling the rest.
class Guarded {
 public:
  Guarded(size_t bytes, bool at_start) : bytes_(bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    usable_ = (bytes + page - 1) / page * page + page;
    mapped_ = usable_ + 2 * page;
    map_ = static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(map_ + page, usable_, PROT_READ | PROT_WRITE);
    std::memset(map_ + page, 0xa5, usable_);
    begin_ = map_ + page;
    data_ = at_start ? begin_ : begin_ + usable_ - bytes;
  }
  ~Guarded() { munmap(map_, mapped_); }
  Guarded(const Guarded&) = delete;
  uint8_t* data() { return data_; }
  size_t size() const { return bytes_; }
  bool canaries_intact() const {
    for (const uint8_t* p = begin_; p < begin_ + usable_; ++p)
      if ((p < data_ || p >= data_ + bytes_) && *p != 0xa5) return false;
    return true;
  }

 private:
  size_t bytes_, usable_, mapped_;
  uint8_t *map_, *begin_, *data_;
};

/// Builds specs with little typing.
struct SpecBuilder {
  LoopSpec spec;
  explicit SpecBuilder(LoopMode mode, SizeVec sizes) {
    spec.mode = mode;
    spec.sizes = std::move(sizes);
  }
  int push(LoopNode n) {
    spec.nodes.push_back(n);
    return static_cast<int>(spec.nodes.size()) - 1;
  }
  int operand(ScalarType t, SizeVec strides, bool output = false) {
    spec.operands.push_back({t, output, std::move(strides)});
    return static_cast<int>(spec.operands.size()) - 1;
  }
  SizeVec dense() const { return contiguous_strides(spec.sizes); }
  int load(ScalarType t, SizeVec strides) {
    LoopNode n;
    n.kind = LoopKind::Load;
    n.dtype = t;
    n.index = operand(t, std::move(strides));
    return push(n);
  }
  int load(ScalarType t) { return load(t, dense()); }
  int scalar(ScalarType t) {
    LoopNode n;
    n.kind = LoopKind::Scalar;
    n.dtype = t;
    n.index = static_cast<int>(spec.scalars.size());
    spec.scalars.push_back(t);
    return push(n);
  }
  int constant(ScalarType t, double v) {
    LoopNode n;
    n.dtype = t;
    n.bits = cast(t, Value::of(v)).bits;
    return push(n);
  }
  int iota(int dim, ScalarType t = kLong) {
    LoopNode n;
    n.kind = LoopKind::Iota;
    n.dtype = t;
    n.index = dim;
    return push(n);
  }
  int compute(Op op, std::vector<int> in, uint64_t bits = 0) {
    LoopNode n;
    n.kind = LoopKind::Compute;
    n.op = op;
    n.bits = bits;
    for (int i : in) n.in[n.n_in++] = i;
    n.dtype = pointwise_gives_bool(op) ? kBool : spec.nodes[static_cast<size_t>(in[op == Op::where ? 1 : 0])].dtype;
    return push(n);
  }
  int cast_to(ScalarType t, int in) {
    LoopNode n;
    n.kind = LoopKind::Cast;
    n.dtype = t;
    n.in[n.n_in++] = in;
    return push(n);
  }
  int reduce(ReduceKind kind, int in) {
    LoopNode n;
    n.kind = LoopKind::Reduce;
    n.reduce = kind;
    n.dtype = spec.nodes[static_cast<size_t>(in)].dtype;
    n.in[n.n_in++] = in;
    return push(n);
  }
  void store(int node, SizeVec strides) {
    const ScalarType t = spec.nodes[static_cast<size_t>(node)].dtype;
    const int o = operand(t, std::move(strides), true);
    spec.stores.push_back({node, o});
  }
  void store(int node) { store(node, dense()); }
};

/// One kernel of mixed widths over n elements: bool, int64, float32 and float64.
inline LoopSpec spec_of_every_type(int64_t n) {
  SpecBuilder b(LoopMode::Pointwise, {n});
  const int m = b.load(kBool), i = b.load(kLong), f = b.load(kFloat), d = b.load(kDouble);
  const int s = b.compute(Op::add, {b.cast_to(kDouble, b.compute(Op::where, {m, b.cast_to(kFloat, i), f})), d});
  b.store(s);
  b.store(b.cast_to(kFloat, s));
  b.store(b.compute(Op::lt, {f, b.cast_to(kFloat, d)}));
  b.store(b.cast_to(kLong, f));
  return b.spec;
}

/// Numbers that find mistakes: specials among ordinary ones.
inline Value random_value(std::mt19937_64& rng, ScalarType t) {
  static constexpr double specials[] = {
      0.0,  -0.0,   1.0, -1.0, 0.5,   2.0,  1e-45, -1e-40, 1.17549435e-38, 3.4e38,     -3.4e38, HUGE_VAL, -HUGE_VAL, NAN,
      88.9, -104.2, 3e5, 1e10, 127.5, -0.3, 1e-20, 6.0,    3.14159274,     16777217.0, 9.3e18,  -9.3e18};
  if (t == kBool) return Value::of(bool(rng() & 1));
  const uint64_t pick = rng() % 4;
  if (t == kLong) {
    if (pick == 0) return Value::of(static_cast<int64_t>(rng()));
    if (pick == 1) return Value::of(static_cast<int64_t>((uint64_t{1} << rng() % 64) - rng() % 2));
    return Value::of(static_cast<int64_t>(rng() % 21) - 10);
  }
  double d = (static_cast<double>(rng() >> 11) * 0x1p-53 - 0.5) * (pick == 1 ? 200.0 : 8.0);
  if (pick == 0) d = specials[rng() % std::size(specials)];
  return cast(t, Value::of(d));
}

/// Calls the kernel; one that takes a range of a dimension for all ranges of a division made by chance, in any order.
inline void call(const Kernel& kernel, const std::vector<void*>& operands, std::vector<uint64_t> scalars, void* scratch,
                 std::mt19937_64& rng) {
  if (kernel.spec.split < 0) return kernel.fn(operands.data(), scalars.data(), scratch);
  const int64_t extent = kernel.spec.sizes[static_cast<size_t>(kernel.spec.split)];
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (int64_t at = 0; at < extent;) {
    const int64_t end = std::min(extent, at + kernel.split_step * static_cast<int64_t>(1 + rng() % 3));
    ranges.emplace_back(at, end);
    at = end;
  }
  std::shuffle(ranges.begin(), ranges.end(), rng);
  scalars.resize(scalars.size() + 2);
  for (const auto& [begin, end] : ranges) {
    scalars[scalars.size() - 2] = static_cast<uint64_t>(begin);
    scalars[scalars.size() - 1] = static_cast<uint64_t>(end);
    kernel.fn(operands.data(), scalars.data(), scratch);
  }
}

struct Check {
  std::string failure;  // empty: all as expected
};

/// Runs a spec under an ISA cap on guarded memory and compares every output byte with the interpreter's.
/// `at_start`: operands begin right after a faulting page instead of ending before one. `shared`: output o uses input i's memory.
/// `kernel_spec`: what the kernel is made of, the spec or one with arguments in its place.
inline Check check_as(const LoopSpec& spec, const LoopSpec& kernel_spec, Isa cap, uint64_t seed, bool at_start,
                      const std::vector<std::pair<int, int>>& shared) {
  set_isa_cap(cap);
  const auto kernel = get_kernel(kernel_spec);
  if (!kernel) return {"no kernel"};
  std::mt19937_64 rng(seed);
  std::vector<std::unique_ptr<Guarded>> ours;
  std::vector<std::vector<uint8_t>> theirs;
  std::vector<void*> our_operands, their_operands;
  for (const LoopOperand& o : spec.operands) {
    int64_t elements = 1;
    for (size_t d = 0; d < spec.sizes.size(); ++d) {
      if (spec.sizes[d] == 0 && o.strides[d] != 0) elements = 0;
      if (elements > 0 && spec.sizes[d] > 0) elements += (spec.sizes[d] - 1) * o.strides[d];
    }
    const size_t bytes = static_cast<size_t>(elements) * element_size(o.dtype);
    ours.push_back(std::make_unique<Guarded>(bytes, at_start));
    for (int64_t e = 0; e < elements; ++e) write(ours.back()->data(), o.dtype, e, random_value(rng, o.dtype));
    theirs.emplace_back(ours.back()->data(), ours.back()->data() + bytes);
    our_operands.push_back(ours.back()->data());
    their_operands.push_back(theirs.back().data());
  }
  for (const auto& [out, in] : shared) {
    our_operands[static_cast<size_t>(out)] = our_operands[static_cast<size_t>(in)];
    their_operands[static_cast<size_t>(out)] = their_operands[static_cast<size_t>(in)];
  }
  std::vector<uint64_t> scalars;
  for (ScalarType t : spec.scalars) scalars.push_back(random_value(rng, t).bits);
  std::vector<uint64_t> values = scalars;
  for (int64_t v : size_values(kernel_spec, spec.sizes, spec.operands)) values.push_back(static_cast<uint64_t>(v));
  const size_t scratch_bytes = kernel->scratch_for(spec.sizes.back());
  std::unique_ptr<void, void (*)(void*)> scratch(std::aligned_alloc(64, (scratch_bytes + 64) / 64 * 64), std::free);
  call(*kernel, our_operands, values, scratch.get(), rng);
  Interpreter(spec, their_operands, scalars).run();
  for (size_t o = 0; o < spec.operands.size(); ++o) {
    if (!ours[o]->canaries_intact()) return {"operand " + std::to_string(o) + ": written outside"};
    const ScalarType t = spec.operands[o].dtype;
    for (size_t e = 0; e < ours[o]->size() / element_size(t); ++e) {
      const Value got = read(ours[o]->data(), t, static_cast<int64_t>(e)),
                  want = read(theirs[o].data(), t, static_cast<int64_t>(e));
      if (same(got, want)) continue;
      char text[160];
      std::snprintf(text, sizeof text, "operand %zu element %zu: got %#llx, expected %#llx (seed %llu, %s)", o, e,
                    static_cast<unsigned long long>(got.bits), static_cast<unsigned long long>(want.bits),
                    static_cast<unsigned long long>(seed), isa_name(cap));
      return {text};
    }
  }
  return {};
}

/// The same, and with kernels that take some or all extents and strides as arguments.
inline Check check(const LoopSpec& spec, Isa cap, uint64_t seed, bool at_start = false,
                   std::vector<std::pair<int, int>> shared = {}) {
  Check c = check_as(spec, spec, cap, seed, at_start, shared);
  for (const bool all : {true, false}) {
    if (!c.failure.empty()) return c;
    c = check_as(spec, any_sized(spec, all, seed), cap, seed, at_start, shared);
    if (!c.failure.empty()) c.failure += all ? ", all sizes as arguments" : ", some sizes as arguments";
  }
  return c;
}

inline std::vector<Isa> levels() {
  std::vector<Isa> all;
  if (detected_isa() >= Isa::Avx512) all.push_back(Isa::Avx512);
  if (detected_isa() >= Isa::Avx2) all.push_back(Isa::Avx2);
  return all;
}

}  // namespace sinter::codegen::reference

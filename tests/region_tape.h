// Hand-made regions for tests: records events with infer, runs them one by one with eager kernels, and compares the
// bytes with what the compiled program leaves.
#pragma once
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>
#include "engine/program/program.h"
#include "runtime/kernels/kernel.h"

namespace sinter::test {

inline int64_t span_of(const TensorMeta& m) {
  int64_t last = 0;
  for (size_t d = 0; d < m.sizes.size(); ++d) {
    if (m.sizes[d] == 0) return 0;
    last += (m.sizes[d] - 1) * m.strides[d];
  }
  return last + 1;
}

/// Records a region: every call returns a slot.
class Tape {
 public:
  Region region;
  std::vector<std::vector<char>> input_bytes;
  std::vector<Scalar> scalars;
  std::mt19937_64 random;
  bool specials = false;  // inputs made from now on hold zeros of both signs, infinities and NaN among their elements

  explicit Tape(uint64_t seed = 1) : random(seed) { region.name = "test"; }

  /// An input with random elements; strides empty: row-major. Integers are in [0, int_range).
  int input(SizeVec sizes, ScalarType t = kFloat, SizeVec strides = {}, int64_t int_range = 5) {
    if (strides.size() != sizes.size()) strides = contiguous_strides(sizes);
    RegionSlot s;
    s.meta.dtype = t;
    s.meta.sizes = sizes;
    s.meta.strides = strides;
    s.input = static_cast<int32_t>(region.inputs.size());
    const int slot = add_slot(s, -1);
    region.inputs.push_back(slot);
    const int64_t n = span_of(region.slots[slot].meta);
    std::vector<char> bytes(static_cast<size_t>(n) * element_size(t) + 1);
    for (int64_t i = 0; i < n; ++i) put(bytes.data(), i, t, int_range);
    input_bytes.push_back(std::move(bytes));
    return slot;
  }

  int call(Op op, std::vector<int> in, uint64_t attr = 0, std::vector<int64_t> ints = {}, std::vector<Scalar> values = {},
           uint8_t flags = 0) {
    std::vector<TensorImpl*> operands;
    for (int s : in) operands.push_back(s < 0 ? nullptr : impls_[s].get());
    OpCall c{.op = op, .loc = {"test.cpp", static_cast<int32_t>(region.events.size() + 1)}};
    c.flags = flags;
    c.n_in = static_cast<uint16_t>(operands.size());
    c.in = operands.data();
    c.attr = attr;
    c.ints = ints;
    c.n_scalars = static_cast<uint8_t>(values.size());
    for (size_t i = 0; i < values.size(); ++i) c.scalars[i] = values[i];
    const TensorMeta meta = infer(c, kFloat);  // may throw, then nothing is recorded
    RegionEvent e;
    e.op = op;
    e.flags = flags;
    e.in.assign(in.begin(), in.end());
    e.attr = attr;
    e.ints = ints;
    e.n_scalars = c.n_scalars;
    e.first_scalar = static_cast<int32_t>(region.scalars.size());
    for (size_t i = 0; i < values.size(); ++i) {
      e.scalar_types[i] = values[i].type();
      region.scalars.push_back(values[i].type());
      scalars.push_back(values[i]);
    }
    if (op_info(op).kind == OpKind::Pointwise) e.compute = compute_dtype(c, kFloat);
    e.loc = c.loc;
    if ((flags & kInplace) || op == Op::copy_ || op == Op::fill_) {
      e.out = in[0];
    } else {
      RegionSlot s;
      s.meta = meta;
      e.out = add_slot(s, is_view(op) ? root(in[0]) : -1);
    }
    region.events.push_back(e);
    return e.out;
  }
  int unary(Op op, int a) { return call(op, {a}); }
  int binary(Op op, int a, int b) { return call(op, {a, b}); }
  int scalar(Op op, int a, Scalar s) { return call(op, {a}, 0, {}, {s}, kScalarRhs); }
  int sum(int a, uint32_t dims, bool keep = false) {
    return call(Op::sum, {a}, reduce_attr(dims, keep, 255 & static_cast<uint8_t>(kUndefined)));
  }
  void live(int slot) { region.live.push_back(root(slot)); }
  int root(int slot) const { return region.slots[slot].root; }
  const TensorMeta& meta(int slot) const { return region.slots[slot].meta; }

  static constexpr ScalarType kUndefined = ScalarType::Undefined;

 private:
  int add_slot(RegionSlot s, int root_slot) {
    const int slot = static_cast<int>(region.slots.size());
    s.root = root_slot < 0 ? slot : root_slot;
    Storage* storage = root_slot < 0 ? Storage::empty() : impls_[root_slot]->storage;
    if (root_slot >= 0) storage->retain();
    impls_.push_back(std::shared_ptr<TensorImpl>(
        new TensorImpl(s.meta.dtype, s.meta.sizes, s.meta.strides, s.meta.offset, storage), [](TensorImpl* t) { t->release(); }));
    region.slots.push_back(s);
    return slot;
  }
  void put(char* to, int64_t i, ScalarType t, int64_t int_range) {
    double v = std::normal_distribution<double>()(random);
    static const double kSpecial[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-40, 1.0, -1.0};
    if (specials && random() % 6 == 0) v = kSpecial[random() % 8];
    switch (t) {
      case ScalarType::Bool:
        to[i] = v > 0;
        break;
      case ScalarType::Long:
        reinterpret_cast<int64_t*>(to)[i] = static_cast<int64_t>(random() % static_cast<uint64_t>(int_range));
        break;
      case ScalarType::Float:
        reinterpret_cast<float*>(to)[i] = static_cast<float>(v);
        break;
      default:
        reinterpret_cast<double*>(to)[i] = v;
    }
  }
  std::vector<std::shared_ptr<TensorImpl>> impls_;
};

/// Bytes of every root after the events ran one by one.
class Interpreted {
 public:
  explicit Interpreted(const Tape& tape) : region_(tape.region), bytes_(region_.slots.size()) {
    for (size_t i = 0; i < region_.inputs.size(); ++i) bytes_[region_.inputs[i]] = tape.input_bytes[i];
    for (const RegionEvent& e : region_.events) run(e, tape.scalars);
  }
  const std::vector<char>& bytes(int root) const { return bytes_[root]; }

 private:
  TensorView view(int slot) {
    if (slot < 0) return {};
    const RegionSlot& s = region_.slots[slot];
    return {bytes_[s.root].data() + s.meta.offset * static_cast<int64_t>(element_size(s.meta.dtype)), s.meta.dtype, s.meta.sizes,
            s.meta.strides};
  }
  void run(const RegionEvent& e, const std::vector<Scalar>& scalars) {
    if (is_view(e.op)) return;
    const RegionSlot& out = region_.slots[e.out];
    if (bytes_[out.root].empty())
      bytes_[out.root].resize(static_cast<size_t>(span_of(out.meta)) * element_size(out.meta.dtype) + 1);
    std::vector<TensorView> in;
    for (int s : e.in) in.push_back(view(s));
    KernelArgs a;
    a.op = e.op;
    a.flags = e.flags;
    a.n_scalars = e.n_scalars;
    a.compute = e.compute;
    a.out = view(e.out);
    a.in = in;
    a.attr = e.attr;
    a.ints = e.ints;
    a.scalars = scalars.data() + e.first_scalar;
    run_kernel(a);
  }
  const Region& region_;
  std::vector<std::vector<char>> bytes_;
};

/// Number of elements whose bits differ (two NaNs are equal), over the elements that `meta` addresses.
inline int64_t differences(const TensorMeta& meta, const void* a, const void* b) {
  int64_t count = 0;
  const int64_t n = numel_of(meta.sizes);
  const size_t size = element_size(meta.dtype);
  for (int64_t i = 0; i < n; ++i) {
    int64_t rest = i, at = 0;
    for (size_t d = meta.sizes.size(); d-- > 0;) {
      at += rest % meta.sizes[d] * meta.strides[d];
      rest /= meta.sizes[d];
    }
    const char *x = static_cast<const char*>(a) + at * static_cast<int64_t>(size),
               *y = static_cast<const char*>(b) + at * static_cast<int64_t>(size);
    bool same = std::memcmp(x, y, size) == 0;
    if (!same && meta.dtype == kFloat)
      same = std::isnan(*reinterpret_cast<const float*>(x)) && std::isnan(*reinterpret_cast<const float*>(y));
    if (!same && meta.dtype == kDouble)
      same = std::isnan(*reinterpret_cast<const double*>(x)) && std::isnan(*reinterpret_cast<const double*>(y));
    count += !same;
  }
  return count;
}

/// One run of a tape's program on copies of its inputs.
struct ProgramRun {
  ProgramRun(const Tape& tape, const Program& program) : inputs(tape.input_bytes) {
    std::vector<void*> addresses;
    for (auto& b : inputs) addresses.push_back(b.data());
    for (size_t i = 0; i < tape.region.live.size(); ++i) outputs.push_back(Storage::empty());
    program.run({addresses.data(), tape.scalars.data(), outputs.data()});
  }
  ~ProgramRun() {
    for (Storage* s : outputs) s->release();
  }
  ProgramRun(const ProgramRun&) = delete;
  ProgramRun& operator=(const ProgramRun&) = delete;

  decltype(Tape::input_bytes) inputs;  // as the program left them
  std::vector<Storage*> outputs;       // in the order of Region::live
};

/// Compiles, runs, compares live results and inputs. Returns the program (null: it was refused).
inline std::shared_ptr<const Program> check_tape(const Tape& tape) {
  const auto program = compile_region(tape.region);
  if (!program) return nullptr;
  INFO(to_string(tape.region));
  INFO(program->graph.str());
  INFO(program->str());
  program->graph.verify();
  const Interpreted expected(tape);
  const ProgramRun run(tape, *program);
  for (size_t i = 0; i < run.outputs.size(); ++i) {
    const int slot = tape.region.live[i];
    INFO("live slot " << slot);
    REQUIRE(differences(tape.meta(slot), run.outputs[i]->data, expected.bytes(slot).data()) == 0);
  }
  for (size_t i = 0; i < run.inputs.size(); ++i) {
    INFO("input " << i);
    const int slot = tape.region.inputs[i];
    REQUIRE(differences(tape.meta(slot), run.inputs[i].data(), expected.bytes(slot).data()) == 0);
  }
  return program;
}

}  // namespace sinter::test

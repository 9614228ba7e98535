// Functions with arguments of any kind: shapes, strides, dims, index tensors, negative, huge and overflowing integers.
// Nothing but sinter::Error may come back, and a compiled call must give what eager gives, errors included.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <typeinfo>
#include "argument_calls.h"
#include "bytes.h"
#include "elements.h"
#include "engine/passes/passes.h"

using namespace sinter;
using sinter::test::Arguments;
using sinter::test::Bytes;
using sinter::test::elements;
using sinter::test::kFunctions;
using sinter::test::NamedFunction;

namespace {

constexpr int64_t kMostElements = 2048;  // operands larger than that are not used again
constexpr int kInputs = 3;

/// Small ones of both signs, or huge: what lies between could be had, and would take memory and time.
int64_t any_integer(Bytes& in) {
  static const int64_t kHuge[] = {INT64_MAX,        INT64_MIN,           INT64_MAX - 1,       INT64_MIN + 1,
                                  INT64_MAX / 2,    int64_t{1} << 62,    -(int64_t{1} << 62), int64_t{1} << 61,
                                  int64_t{1} << 48, -(int64_t{1} << 48), 3037000500 * 100000};
  const uint8_t b = in.byte();
  return b >= 245 ? kHuge[b - 245] : b % 13 - 4;
}

Scalar any_scalar(Bytes& in) {
  static const double kSpecial[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-310, 1e300, 0.5, -1.5, 2.0, 9.3e18, -9.3e18};
  switch (in.pick(4)) {
    case 0:
      return Scalar(any_integer(in));
    case 1:
      return Scalar(in.flag());
    default:
      return Scalar(kSpecial[in.pick(12)]);
  }
}

struct Step {
  const NamedFunction* function;
  uint8_t a, b, c;
  int64_t i, j, k;
  std::vector<int64_t> list;
  Scalar s, r;
  ScalarType dtype;
  bool flag, keep;
};

struct Input {
  int kind = 0;  // 0 row-major, 1 with strides of its own, 2 over memory that the inputs share
  ScalarType dtype = kFloat;
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;
  uint8_t values = 0;
  bool requires_grad = false;
};

struct Case {
  std::array<Input, kInputs> inputs;
  std::vector<Step> steps;
  bool backward;
};

Case decode(Bytes& in) {
  Case c;
  for (Input& t : c.inputs) {
    t.kind = in.pick(4);
    t.dtype = static_cast<ScalarType>(in.pick(8) < 5 ? static_cast<int>(kFloat) : in.pick(4));
    const int rank = in.pick(5);
    for (int d = 0; d < rank; ++d) {
      t.sizes.push_back(in.pick(6));
      t.strides.push_back(in.pick(8));
    }
    t.offset = in.pick(16);
    t.values = in.byte();
    t.requires_grad = in.pick(4) == 0;
  }
  c.backward = in.flag();
  const int n = 1 + in.pick(6);
  for (int k = 0; k < n && !in.empty(); ++k) {
    Step s{};
    s.function = &kFunctions[in.byte() % std::size(kFunctions)];
    s.a = in.byte(), s.b = in.byte(), s.c = in.byte();
    s.i = any_integer(in), s.j = any_integer(in), s.k = any_integer(in);
    const int rank = in.pick(5);
    for (int d = 0; d < rank; ++d) s.list.push_back(any_integer(in));
    s.s = any_scalar(in), s.r = any_scalar(in);
    s.dtype = static_cast<ScalarType>(in.pick(4));
    const uint8_t flags = in.byte();
    s.flag = flags & 1, s.keep = flags & 2;
    c.steps.push_back(s);
  }
  return c;
}

void fill(char* p, int64_t n, ScalarType t, uint32_t seed) {
  static const float kValues[] = {0.5f, -1.25f, 3.0f, 0.0f, -0.0f, INFINITY, NAN, 1e-41f, 1.0f, 2.0f, -7.5f, 100.0f};
  for (int64_t i = 0; i < n; ++i) {
    seed = seed * 1664525 + 1013904223;
    const uint32_t r = seed >> 24;
    if (t == kBool) p[i] = r & 1;
    else if (t == kLong) reinterpret_cast<int64_t*>(p)[i] = static_cast<int64_t>(r % 8) - 1;
    else if (t == kFloat) reinterpret_cast<float*>(p)[i] = kValues[r % 12];
    else reinterpret_cast<double*>(p)[i] = kValues[r % 12];
  }
}

/// Inputs of one run, over memory of their own.
struct Inputs {
  std::array<Tensor, kInputs> tensors;
  std::vector<int64_t> shared = std::vector<int64_t>(256);

  explicit Inputs(const Case& c, uint32_t call) {
    fill(reinterpret_cast<char*>(shared.data()), 128, kLong, call);
    for (int i = 0; i < kInputs; ++i) tensors[static_cast<size_t>(i)] = make(c.inputs[static_cast<size_t>(i)], call);
  }

 private:
  Tensor make(const Input& in, uint32_t call) {
    if (in.kind == 2 && in.dtype != kBool) {  // any bytes may lie there, and those of a bool must be 0 or 1
      int64_t reach = in.offset + 1;
      for (size_t d = 0; d < in.sizes.size(); ++d) reach += std::max<int64_t>(in.sizes[d] - 1, 0) * in.strides[d];
      if (reach < 128) {
        char* at = reinterpret_cast<char*>(shared.data()) + in.offset * static_cast<int64_t>(element_size(in.dtype));
        return from_blob(at, in.sizes, in.strides, in.dtype);
      }
    }
    Tensor t = in.kind == 1 ? empty_strided(in.sizes, in.strides, in.dtype) : empty(in.sizes, in.dtype);
    const auto bytes = static_cast<int64_t>(t.impl()->storage->nbytes);
    fill(static_cast<char*>(t.data_ptr()), bytes / static_cast<int64_t>(t.element_size()), in.dtype, in.values * 7919u + call);
    if (in.requires_grad && in.kind != 1 && is_floating(in.dtype)) t.set_requires_grad(true);
    return t;
  }
};

std::string bits(const Tensor& t) {
  if (!t.defined()) return "undefined";
  std::string out = std::string(dtype_name(t.dtype())) + to_string(t.sizes()) + ":";
  if (t.numel() > kMostElements || t.numel() == 0) return out;
  const Tensor c = t.detach().contiguous();
  return out + elements(c.dtype(), c.sizes(), c.strides(), c.data_ptr());
}

/// What a run leaves that somebody could see.
struct Outcome {
  std::vector<Tensor> values;
  std::vector<std::string> errors;
  bool out_of_memory = false;
};

/// Runs `f`; its error, if it throws sinter's, is noted. Anything else ends the fuzzer.
template <class F>
Tensor guarded(Outcome& o, const char* name, F f) {
  try {
    Tensor t = f();
    o.errors.push_back(std::string(name) + ": ok");
    return t;
  } catch (const OutOfMemoryError&) { o.out_of_memory = true; } catch (const Error& e) {
    o.errors.push_back(std::string(name) + ": " + typeid(e).name() + " " + e.what());
  }
  return {};
}

Outcome run(const Case& c, std::array<Tensor, kInputs>& inputs) {
  Outcome o;
  std::vector<Tensor> pool(inputs.begin(), inputs.end());
  for (const Step& s : c.steps) {
    const auto operand = [&](uint8_t at) { return pool[at % pool.size()]; };
    const Arguments x{operand(s.a), operand(s.b), operand(s.c), s.i, s.j, s.k, s.list, s.s, s.r, s.dtype, s.flag};
    const Tensor t = guarded(o, s.function->name, [&] { return s.function->call(x); });
    if (!t.defined()) continue;
    if (s.keep) o.values.push_back(t);
    if (t.numel() <= kMostElements) pool.push_back(t);
  }
  if (!c.backward) return o;
  guarded(o, "backward", [&] {
    for (size_t i = pool.size(); i-- > 0;)
      if (pool[i].requires_grad() && is_floating(pool[i].dtype())) {
        pool[i].sum().backward();
        break;
      }
    return Tensor();
  });
  for (const Tensor& t : inputs) o.values.push_back(t.grad());
  return o;
}

[[noreturn]] void differ(const Case& c, uint32_t call, const std::string& what, const std::string& eager,
                         const std::string& compiled) {
  std::fprintf(stderr, "call %u: eager and compiled differ in %s\n  eager:    %s\n  compiled: %s\n", call, what.c_str(),
               eager.c_str(), compiled.c_str());
  for (const Input& i : c.inputs)
    std::fprintf(stderr, "  input kind %d %s%s strides %s grad %d\n", i.kind, dtype_name(i.dtype), to_string(i.sizes).c_str(),
                 to_string(i.strides).c_str(), i.requires_grad);
  for (const Step& s : c.steps)
    std::fprintf(stderr, "  %s a=%d b=%d c=%d i=%ld j=%ld k=%ld list=%s flag=%d keep=%d\n", s.function->name, s.a, s.b, s.c, s.i,
                 s.j, s.k, to_string(IntArrayRef(s.list)).c_str(), s.flag, s.keep);
  std::abort();
}

void compare(const Case& c, uint32_t call, const Outcome& eager, const Outcome& compiled, const Inputs& a, const Inputs& b) {
  for (size_t i = 0; i < eager.errors.size(); ++i)
    if (i >= compiled.errors.size() || eager.errors[i] != compiled.errors[i])
      differ(c, call, "what was thrown", eager.errors[i], i < compiled.errors.size() ? compiled.errors[i] : "nothing");
  if (eager.values.size() != compiled.values.size()) differ(c, call, "the number of results", "", "");
  for (size_t i = 0; i < eager.values.size(); ++i)
    if (const auto x = bits(eager.values[i]), y = bits(compiled.values[i]); x != y)
      differ(c, call, "result " + std::to_string(i), x, y);
  for (size_t i = 0; i < kInputs; ++i)
    if (const auto x = bits(a.tensors[i]), y = bits(b.tensors[i]); x != y) differ(c, call, "input " + std::to_string(i), x, y);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static uint64_t runs = 0;
  if (runs++ % 64 == 0) sinter::reset();
  set_verify_passes(true);
  Bytes in(data, size);
  const Case c = decode(in);
  auto g = compile([&](std::array<Tensor, kInputs>& inputs) { return run(c, inputs); });
  for (uint32_t call = 0; call < 2; ++call) {
    Inputs a(c, call), b(c, call);
    manual_seed(call);
    const Outcome eager = run(c, a.tensors);
    manual_seed(call);
    try {
      const Outcome compiled = g(b.tensors);
      if (!eager.out_of_memory) compare(c, call, eager, compiled, a, b);
    } catch (const OutOfMemoryError& e) {  // deferred memory is refused at the close, or never asked for
      if (!eager.out_of_memory) differ(c, call, "the call", "returned", e.what());
    }
  }
  return 0;
}

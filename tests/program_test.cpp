// Programs against the same events run one by one with eager kernels: equal bits.
#include <atomic>
#include <thread>
#include "codegen/kernel.h"
#include "region_tape.h"
#include "runtime/allocator.h"
#include "runtime/cpu.h"
#include "runtime/error.h"

using namespace sinter;
using sinter::test::check_tape;
using sinter::test::Tape;

namespace {

std::shared_ptr<const Program> checked(const Tape& t) {
  auto p = check_tape(t);
  if (codegen::jit_available()) REQUIRE(p != nullptr);
  return p;
}

struct JitOnly {
  bool on = codegen::jit_available();
};

}  // namespace

TEST_CASE("every pointwise row, every type it takes") {
  const ScalarType types[] = {kBool, kLong, kFloat, kDouble};
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    const OpInfo& info = op_info(op);
    if (info.kind != OpKind::Pointwise || info.checked) continue;
    for (ScalarType a : types)
      for (ScalarType b : types)
        for (int form = 0; form < 3; ++form) {
          Tape t(static_cast<uint64_t>(i));
          const int x = t.input({3, 37}, a), y = t.input({3, 37}, b), z = t.input({37}, b);
          std::vector<int> in{x};
          std::vector<Scalar> scalars;
          uint8_t flags = 0;
          uint64_t attr = 0;
          if (form == 0 && info.max_in >= 2) in.push_back(y);
          if (form == 1 && info.max_in == 2 && info.min_in == 1 && info.max_scalars > 0)
            scalars.push_back(Scalar(2.5)), flags = kScalarRhs;
          if (form == 2 && info.max_in == 2 && info.min_in == 1 && info.max_scalars > 0)
            scalars.push_back(Scalar(3)), flags = kScalarLhs;
          if (info.min_in == 3) in = {op == Op::where ? t.input({3, 37}, kBool) : x, y, z};
          if (op == Op::addcmul || op == Op::addcdiv) scalars = {Scalar(0.5)};
          if (op == Op::clamp) scalars = {Scalar(-0.5), Scalar(1)}, attr = 3;
          if (op == Op::pow && in.size() == 1 && scalars.empty()) attr = std::bit_cast<uint64_t>(3.0), flags = kAttrExponent;
          try {
            t.live(t.call(op, in, attr, {}, scalars, flags));
            sinter::test::Interpreted alone(t);
          } catch (const Error&) {
            continue;  // eager refuses these types
          }
          INFO(info.name << " form " << form);
          checked(t);
        }
  }
}

TEST_CASE("alpha and in-place forms") {
  Tape t;
  const int x = t.input({40}), y = t.input({40}), n = t.input({40}, kLong);
  t.live(t.call(Op::add, {x, y}, 0, {}, {Scalar(0.3)}, kHasAlpha));
  t.call(Op::sub, {x, y}, 0, {}, {Scalar(0.1)}, kInplace | kHasAlpha);
  t.call(Op::mul, {x}, 0, {}, {Scalar(1.5)}, kInplace | kScalarRhs);
  t.call(Op::add, {n}, 0, {}, {Scalar(3)}, kInplace | kScalarRhs);
  t.call(Op::copy_, {y, n});
  const auto p = checked(t);
  if (p) REQUIRE(p->arena_bytes == 0);  // everything goes straight to its place
}

TEST_CASE("shapes: empty, rank 0, one element, high rank") {
  const std::vector<SizeVec> shapes = {
      {}, {1}, {0}, {3, 0, 2}, {1, 1}, {2, 3, 4, 5}, {2, 1, 2, 1, 2, 1, 2}, {1, 1, 2, 1, 1, 2, 1, 1, 1, 2, 1, 3}};
  for (const SizeVec& s : shapes) {
    Tape t;
    const int x = t.input(s), y = t.input(s);
    t.live(t.binary(Op::mul, t.unary(Op::exp, x), y));
    t.live(t.sum(x, 0));
    t.call(Op::add, {y}, 0, {}, {Scalar(1.0)}, kInplace | kScalarRhs);
    INFO(to_string(IntArrayRef(s)));
    checked(t);
  }
}

TEST_CASE("reductions over every set of dimensions, with producers and consumers") {
  const SizeVec shape{3, 4, 5};
  for (Op op : {Op::sum, Op::mean, Op::amax, Op::amin, Op::var, Op::argmax, Op::any})
    for (uint32_t dims = 0; dims < 8; ++dims)
      for (bool keep : {false, true})
        for (int layout = 0; layout < 3; ++layout) {
          if (op == Op::argmax && (dims & (dims - 1))) continue;
          Tape t(dims + 8 * static_cast<uint64_t>(op));
          const int x = layout == 1 ? t.input(shape, kFloat, {1, 3, 12}) : t.input(shape);
          const int v = layout == 2 ? t.unary(Op::sin, x) : x;
          const std::vector<int64_t> ints = op == Op::var ? std::vector<int64_t>{1} : std::vector<int64_t>{};
          int r;
          try {
            r = t.call(op, {v}, reduce_attr(dims, keep, static_cast<uint8_t>(ScalarType::Undefined)), ints);
          } catch (const Error&) { continue; }
          t.live(r);
          t.live(t.unary(Op::neg, t.call(Op::to, {r}, static_cast<uint64_t>(kFloat))));
          if (keep && op != Op::any) t.live(t.binary(Op::sub, v, r));
          INFO(op_info(op).name << " dims " << dims << " keep " << keep << " layout " << layout);
          checked(t);
        }
}

TEST_CASE("sums of other types and sizes") {
  for (ScalarType type : {kBool, kLong, kFloat, kDouble})
    for (int64_t n : {1, 15, 16, 17, 1000, 20000}) {
      Tape t;
      const int x = t.input({3, n}, type), y = t.input({n, 3}, type);
      for (int v : {t.sum(x, 2), t.sum(x, 1), t.sum(y, 1), t.sum(y, 2), t.sum(x, 0)}) t.live(v);
      INFO(dtype_name(type) << " " << n);
      checked(t);
    }
}

TEST_CASE("softmax family, every dimension") {
  for (ScalarType type : {kFloat, kDouble})
    for (Op op : {Op::_softmax, Op::_log_softmax, Op::_softmax_backward_data, Op::_log_softmax_backward_data})
      for (uint64_t dim = 0; dim < 3; ++dim)
        for (int64_t last : {1, 7, 40}) {
          Tape t(dim);
          const int x = t.input({3, 5, last}, type), g = t.input({3, 5, last}, type);
          const bool backward = op == Op::_softmax_backward_data || op == Op::_log_softmax_backward_data;
          t.live(t.call(op, backward ? std::vector<int>{g, x} : std::vector<int>{x}, dim));
          INFO(op_info(op).name << " dim " << dim << " last " << last);
          checked(t);
        }
}

TEST_CASE("short rows run across the lanes with the same bits") {
  for (ScalarType type : {kFloat, kDouble, kLong})
    for (int64_t length = 2; length <= 18; ++length)
      for (Op op : {Op::sum, Op::amax, Op::amin, Op::mean, Op::_softmax, Op::_log_softmax}) {
        Tape t(static_cast<uint64_t>(length));
        t.specials = true;
        const int x = t.input({21, length}, type);
        const bool reduces = op_info(op).kind == OpKind::Reduce;
        try {
          const int y = t.call(op, {x}, reduces ? reduce_attr(2, true, static_cast<uint8_t>(ScalarType::Undefined)) : 1);
          t.live(y);
          if (reduces) t.live(t.binary(Op::sub, x, y));
        } catch (const Error&) {
          continue;  // a mean of integers
        }
        t.call(Op::add, {x, x}, 0, {}, {}, kInplace);
        INFO(op_info(op).name << " length " << length << " " << dtype_name(type));
        checked(t);
      }
}

TEST_CASE("short rows with more values than registers") {
  for (const Isa cap : {Isa::Avx2, Isa::Avx512}) {
    if (detected_isa() < cap) continue;
    const Isa before = isa();
    set_isa_cap(cap);
    Tape t;
    const int x = t.input({17, 4});
    t.call(Op::add, {x, x}, 0, {}, {}, kInplace);
    const int r = t.unary(Op::sqrt, x), z = t.binary(Op::add, r, x);
    t.live(r);
    t.live(z);
    t.live(t.call(Op::clone, {r}));
    t.live(t.call(Op::to, {t.call(Op::to, {z}, static_cast<uint64_t>(kLong))}, static_cast<uint64_t>(kFloat)));
    t.live(t.call(Op::clone, {z}));
    t.live(t.scalar(Op::sub, z, 1.5));
    t.live(t.call(Op::_log_softmax, {x}, 1));
    checked(t);
    set_isa_cap(before);
  }
}

TEST_CASE("one program runs in several threads at once") {
  Tape t;
  const int x = t.input({50, 60}), w = t.input({60, 60});
  t.live(t.call(Op::_softmax, {t.binary(Op::mm, t.unary(Op::sin, x), w)}, 1));
  const auto program = checked(t);
  if (!program) return;
  const sinter::test::Interpreted expected(t);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      auto bytes = t.input_bytes;
      void* inputs[2] = {bytes[0].data(), bytes[1].data()};
      for (int k = 0; k < 200; ++k) {
        Storage* out = Storage::empty();
        program->run({inputs, t.scalars.data(), &out});
        const int slot = t.region.live[0];
        wrong += sinter::test::differences(t.meta(slot), out->data, expected.bytes(slot).data()) != 0;
        out->release();
      }
    });
  for (auto& thread : threads) thread.join();
  REQUIRE(wrong == 0);
}

TEST_CASE("layer norm and its gradients") {
  for (int dims = 1; dims <= 3; ++dims)
    for (const SizeVec& shape : {SizeVec{4, 3, 20}, SizeVec{1, 1, 9}, SizeVec{5, 2, 1}}) {
      Tape t;
      SizeVec tail;
      for (size_t d = shape.size() - static_cast<size_t>(dims); d < shape.size(); ++d) tail.push_back(shape[d]);
      const int x = t.input(shape), g = t.input(shape), w = t.input(tail), b = t.input(tail);
      const auto attr = static_cast<uint64_t>(dims);
      const std::vector<Scalar> eps{Scalar(1e-5)};
      t.live(t.call(Op::layer_norm, {x, w, b}, attr, {}, eps));
      t.live(t.call(Op::layer_norm, {x}, attr, {}, eps));
      t.live(t.call(Op::layer_norm_backward_input, {g, x, w}, attr, {}, eps));
      t.live(t.call(Op::layer_norm_backward_weight, {g, x}, attr, {}, eps));
      t.live(t.sum(g, (1u << (3 - dims)) - 1));
      INFO("dims " << dims << " shape " << to_string(IntArrayRef(shape)));
      checked(t);
    }
}

TEST_CASE("cross entropy forward and backward, reductions, ignored targets") {
  for (int reduction = 0; reduction < 3; ++reduction)
    for (int64_t classes : {1, 2, 5, 70}) {
      Tape t(static_cast<uint64_t>(classes));
      const int x = t.input({10, classes}), target = t.input({10}, kLong, {}, classes);
      const int lp = t.call(Op::_log_softmax, {x}, 1);
      const uint64_t attr = loss_attr(reduction, 0);  // class 0 does not count
      const int loss = t.call(Op::nll_loss, {lp, target}, attr);
      t.live(loss);
      const int seed = t.call(Op::full, {}, static_cast<uint64_t>(kFloat),
                              reduction == 0 ? std::vector<int64_t>{10} : std::vector<int64_t>{}, {Scalar(1.0)});
      const int g = t.call(Op::nll_loss_backward, {seed, lp, target}, attr);
      t.live(t.call(Op::_log_softmax_backward_data, {g, lp}, 1));
      INFO("reduction " << reduction << " classes " << classes);
      checked(t);
    }
}

TEST_CASE("views of inputs and of results") {
  Tape t;
  const int x = t.input({4, 6}), y = t.unary(Op::exp, t.input({4, 6}));
  for (int v : {x, y}) {
    const int tr = t.call(Op::t, {v});
    t.live(t.unary(Op::neg, tr));
    t.live(t.unary(Op::neg, t.call(Op::select, {v}, 0, {2})));
    t.live(t.unary(Op::neg, t.call(Op::slice, {v}, 1, {1, 6, 2})));
    t.live(t.unary(Op::neg, t.call(Op::view, {v}, 0, {2, 12})));
    t.live(t.unary(Op::sin, t.call(Op::expand, {t.call(Op::unsqueeze, {v}, 1)}, 0, {4, 3, 6})));
    t.live(t.binary(Op::add, t.call(Op::slice, {tr}, 0, {0, 4, 1}), t.call(Op::slice, {v}, 1, {2, 6, 1})));
    t.live(t.call(Op::clone, {tr}, 1));
  }
  checked(t);
}

TEST_CASE("eager steps take views and feed kernels") {
  Tape t;
  const int x = t.input({6, 8}), w = t.input({5, 8}), b = t.input({5});
  const int h = t.unary(Op::relu, t.call(Op::linear, {t.scalar(Op::mul, x, 0.5), w, b}));
  t.live(h);
  t.live(t.binary(Op::mm, t.call(Op::t, {h}), x));
  t.live(t.call(Op::cat, {h, h, t.unary(Op::neg, h)}, 1));
  t.live(t.call(Op::argmax, {h}, reduce_attr(2, false, static_cast<uint8_t>(ScalarType::Undefined))));
  t.live(t.call(Op::rand, {}, static_cast<uint64_t>(kFloat), {3, 3}, {Scalar(5), Scalar(7)}));
  t.live(t.call(Op::embedding, {w, t.input({4}, kLong)}));
  const auto p = checked(t);
  if (p) REQUIRE(p->n_eager + p->n_products >= 5);
}

TEST_CASE("updates: old values read later are kept") {
  SECTION("read after the write") {
    Tape t;
    const int x = t.input({20});
    const int old = t.call(Op::clone, {x});
    t.call(Op::mul, {x}, 0, {}, {Scalar(2.0)}, kInplace | kScalarRhs);
    t.live(t.binary(Op::sub, t.unary(Op::exp, old), x));
    checked(t);
  }
  SECTION("transposed self") {
    Tape t;
    const int x = t.input({6, 6});
    const int tr = t.call(Op::clone, {t.call(Op::t, {x})}, 1);
    t.call(Op::add, {x, tr}, 0, {}, {}, kInplace);
    checked(t);
  }
  SECTION("swap") {
    Tape t;
    const int x = t.input({20}), y = t.input({20});
    const int keep = t.call(Op::clone, {x});
    t.call(Op::copy_, {x, y});
    t.call(Op::copy_, {y, keep});
    checked(t);
  }
  SECTION("rows normalised in place") {
    Tape t;
    const int x = t.input({6, 50});
    t.call(Op::copy_, {x, t.call(Op::_softmax, {x}, 1)});
    t.call(Op::copy_, {x, t.call(Op::layer_norm, {x}, 1, {}, {Scalar(1e-5)})});
    checked(t);
  }
  SECTION("strided input") {
    Tape t;
    const int x = t.input({5, 4}, kFloat, {8, 2});
    t.call(Op::exp, {x}, 0, {}, {}, kInplace);
    t.live(t.sum(x, 0));
    checked(t);
  }
  SECTION("product into its own operand") {
    Tape t;
    const int x = t.input({6, 6}), y = t.input({6, 6});
    t.call(Op::copy_, {x, t.binary(Op::mm, x, y)});
    checked(t);
  }
  SECTION("index_add in place") {
    Tape t;
    const int x = t.input({6, 3}), i = t.input({4}, kLong), s = t.input({4, 3});
    t.call(Op::index_add, {x, i, s}, 0, {}, {}, kInplace);
    t.live(t.unary(Op::exp, x));
    checked(t);
  }
}

TEST_CASE("a training step") {
  Tape t;
  const int x = t.input({10, 10}), y = t.input({10}, kLong, {}, 2);
  const int w1 = t.input({5, 10}), b1 = t.input({5}), w2 = t.input({2, 5}), b2 = t.input({2});
  const int z = t.call(Op::linear, {x, w1, b1});
  const int h = t.unary(Op::relu, z);
  const int lp = t.call(Op::_log_softmax, {t.call(Op::linear, {h, w2, b2})}, 1);
  t.live(t.call(Op::nll_loss, {lp, y}, loss_attr(1, -100)));
  const int one = t.call(Op::full, {}, static_cast<uint64_t>(kFloat), {}, {Scalar(1.0)});
  const int g = t.call(Op::_log_softmax_backward_data, {t.call(Op::nll_loss_backward, {one, lp, y}, loss_attr(1, -100)), lp}, 1);
  const int gw2 = t.binary(Op::mm, t.call(Op::t, {g}), h), gb2 = t.sum(g, 1);
  const int gz = t.binary(Op::threshold_backward, t.binary(Op::mm, g, w2), h);
  const int gw1 = t.binary(Op::mm, t.call(Op::t, {gz}), x), gb1 = t.sum(gz, 1);
  const std::pair<int, int> updates[] = {{w1, gw1}, {b1, gb1}, {w2, gw2}, {b2, gb2}};
  for (auto [p, grad] : updates) t.call(Op::add, {p, grad}, 0, {}, {Scalar(-0.01)}, kInplace | kHasAlpha);
  const auto p = checked(t);
  if (!p) return;
  INFO(p->str());
  REQUIRE((p->n_eager == 0 && p->n_products == 5));  // the matrix products, nothing else: no copies
}

TEST_CASE("equal regions share a program; scalars are inputs") {
  const auto tape = [](double s, int64_t n) {
    Tape t;
    t.live(t.scalar(Op::mul, t.unary(Op::sin, t.input({n})), s));
    return t;
  };
  if (!JitOnly().on) return;
  const auto a = checked(tape(2.0, 10)), b = checked(tape(3.0, 10)), c = checked(tape(2.0, 11));
  REQUIRE(a == b);
  REQUIRE(a != c);
  clear_program_cache();
  REQUIRE(compile_region(tape(2.0, 10).region) != a);
}

TEST_CASE("regions without a program") {
  Tape t;
  const int x = t.input({4, 3});
  t.call(Op::fill_, {t.call(Op::select, {x}, 0, {1})}, 0, {}, {Scalar(1.0)});
  REQUIRE(compile_region(t.region) == nullptr);
  REQUIRE(compile_region(t.region) == nullptr);  // remembered
  Tape u;
  u.live(u.unary(Op::sin, u.input({100})));
  const Isa before = isa();
  set_isa_cap(Isa::None);
  REQUIRE(compile_region(u.region) == nullptr);
  set_isa_cap(before);
  if (JitOnly().on) REQUIRE(compile_region(u.region) != nullptr);
}

TEST_CASE("out of memory leaves no outputs and inputs as they were") {
  Tape t;
  const int x = t.input({100, 100});
  const int s = t.binary(Op::mm, t.unary(Op::exp, x), x);
  t.live(t.unary(Op::sin, s));
  t.live(t.unary(Op::cos, s));
  t.call(Op::neg, {x}, 0, {}, {}, kInplace);
  const auto program = checked(t);
  if (!program) return;
  for (int64_t nth = 1; nth <= 3; ++nth) {
    auto bytes = t.input_bytes;
    void* address = bytes[0].data();
    Storage* outputs[2] = {Storage::empty(), Storage::empty()};
    fail_allocation_after(nth);
    REQUIRE_THROWS_AS(program->run({&address, t.scalars.data(), outputs}), OutOfMemoryError);
    fail_allocation_after(0);
    REQUIRE(bytes == t.input_bytes);
    for (Storage* out : outputs) {
      REQUIRE(out->data == nullptr);
      out->release();
    }
  }
}

TEST_CASE("listings name kernels, nodes and lines") {
  Tape t;
  const int x = t.input({100});
  t.live(t.binary(Op::add, t.unary(Op::sin, x), t.unary(Op::cos, x)));
  const auto p = checked(t);
  if (!p) return;
  REQUIRE(p->str().find("k0_") != std::string::npos);
  REQUIRE(p->steps().size() == 1);
  REQUIRE(p->assembly()[0].second.find("sin(%0)") != std::string::npos);
  REQUIRE(p->assembly()[0].second.find("test.cpp:") != std::string::npos);
  REQUIRE(to_string(t.region).find("sin(i0 f32[100])") != std::string::npos);
}

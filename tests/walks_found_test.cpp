// What state walks found: each case is a walk shrunk to its cause.
#include <xmmintrin.h>
#include "support.h"

using namespace sinter;
using namespace sinter::test;

// Which memory operands have is no guard. An in-place call recorded on separate tensors was replayed on overlapping ones
// without the error that eager throws.
TEST_CASE("an in-place call replayed on partly overlapping tensors is refused as in eager") {
  auto g = compile([](const Tensor& x, const Tensor& y) {
    x.copy_(y);
    return x * 2;
  });
  auto h = compile([](const Tensor& x, const Tensor& y) { return x.add_(y, 0.5) * y; });
  for (int i = 0; i < 3; ++i) {
    const Tensor a = randn({4, 6}), b = randn({4, 6});
    REQUIRE(same_bits(g(a, b), b * 2));
    h(a, b);
    const Tensor base = randn({32}), before = base.clone();
    const Tensor x = base.slice(0, 2, 26).view({4, 6}), y = base.slice(0, 5, 29).view({4, 6});
    REQUIRE_THROWS_AS(x.copy_(y), ValueError);
    REQUIRE_THROWS_AS(g(x, y), ValueError);
    REQUIRE_THROWS_AS(h(x, y), ValueError);
    const Tensor square = randn({4, 4});
    REQUIRE_THROWS_AS(g(square, square.t()), ValueError);
    REQUIRE(same_bits(base, before));
    REQUIRE(base._version() == 0);
  }
}

TEST_CASE("foreign memory that overlaps partly is refused on replay too") {
  auto g = compile([](const Tensor& x, const Tensor& y) { return x.add_(y); });
  float memory[24] = {};
  for (int i = 0; i < 3; ++i) {
    g(from_blob(memory, {8}), from_blob(memory + 8, {8}));
    REQUIRE_THROWS_AS(g(from_blob(memory, {8}), from_blob(memory + 4, {8})), ValueError);
  }
}

// A view learns only when it is used that its base has come to require grad. Guards compared the flag from before: the
// replay built no autograd node and the result did not require grad.
TEST_CASE("a view whose base came to require grad is another input than before") {
  const auto f = [](const Tensor& x) { return (x * 0.5 + 0.25).sum(); };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i) {
    const Tensor base = randn({4, 6}), view = base.slice(0, 0, 4);
    REQUIRE_FALSE(g(view).requires_grad());
    base.set_requires_grad(true);
    REQUIRE(view.requires_grad());
    const Tensor r = g(view);
    REQUIRE(r.requires_grad());
    r.backward();
    const Tensor base2 = randn({4, 6}), view2 = base2.slice(0, 0, 4);
    base2.set_requires_grad(true);
    f(view2).backward();
    REQUIRE(view.grad().defined() == view2.grad().defined());
    REQUIRE(base.grad().defined() == base2.grad().defined());
  }
}

// The same in the middle of a region: an in-place call makes a tensor require grad of which another input is a view.
TEST_CASE("an in-place call that makes another input require grad") {
  const Tensor w = ones({6}).set_requires_grad(true);
  const auto f = [&](const Tensor& x, const Tensor& y) {
    const Tensor before = x * 2;
    y.add_(w);
    return std::pair(before, x * 3);
  };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i) {
    for (const bool view : {false, true}) {
      const Tensor y = zeros({4, 6}), x = view ? y.slice(0, 0, 4) : zeros({4, 6});
      const Tensor y2 = zeros({4, 6}), x2 = view ? y2.slice(0, 0, 4) : zeros({4, 6});
      const auto [a, b] = f(x, y);
      const auto [a2, b2] = g(x2, y2);
      REQUIRE(a.requires_grad() == a2.requires_grad());
      REQUIRE(b.requires_grad() == b2.requires_grad());
      REQUIRE(b2.requires_grad() == view);
      REQUIRE(same_bits(b, b2));
      if (!view) continue;
      w.mutable_grad().reset();
      b.sum().backward();
      const std::string eager = bits(w.grad());
      w.mutable_grad().reset();
      b2.sum().backward();
      REQUIRE(bits(w.grad()) == eager);
    }
  }
}

// A deleter that computes breaks the graph of the call in which the tensor is dropped; under fullgraph that threw, which ends the
// process: deleters must not throw.
TEST_CASE("a deleter that reads a value inside a call with fullgraph") {
  std::vector<float> memory(6, 0.5f);
  int64_t seen = 0;
  auto g = compile(
      [&](const Tensor& x, Tensor& borrowed) {
        const Tensor y = x * 2 + borrowed;
        borrowed.reset();
        const Tensor other = from_blob(
            memory.data(), {6}, [&](void*) { seen += (ones({3}) * 2).sum().item<int64_t>(); }, kFloat);
        const Tensor z = y + 1;
        return z;
      },
      {.fullgraph = true});
  const Tensor x = randn({6});
  for (int i = 0; i < 4; ++i) {
    Tensor borrowed = from_blob(
        memory.data(), {6}, [&](void*) { seen += (ones({3}) * 2).sum().item<int64_t>(); }, kFloat);
    REQUIRE(same_bits(g(x, borrowed), x * 2 + 0.5 + 1));
    REQUIRE(seen == 12 * (i + 1));
  }
}

// Emitted code takes the machine's maximum, eager kernels compared: these kept subnormals that the CPU is told to take for zero.
TEST_CASE("amax and amin of subnormals under flush-to-zero and denormals-are-zero") {
  for (const ScalarType type : {kFloat, kDouble})
    for (const double value : {-1e-42, 1e-42, -1e-310, 1e-310})
      for (const unsigned bits : {0u, 0x40u, 0x8000u, 0x8040u})
        for (const int64_t rows : {1, 2, 5, 17})
          for (const int64_t columns : {1, 3, 8, 33}) {
            const Tensor x = full({rows, columns}, value, type);
            const auto f = [](const Tensor& x) {
              return std::vector<Tensor>{x.amax(0), x.amin(0), x.amax(-1), x.amin(-1), x.amax(), maximum(x, x.t().amin())};
            };
            auto g = compile(f);
            const unsigned before = _mm_getcsr();
            _mm_setcsr(before | bits);
            const auto eager = f(x), compiled = g(x);
            _mm_setcsr(before);
            for (size_t i = 0; i < eager.size(); ++i) REQUIRE(same_bits(eager[i], compiled[i]));
          }
}

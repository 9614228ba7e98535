// Guard rows G01-G18: properties of a tensor.
#include <sys/mman.h>
#include <array>
#include <csignal>
#include "child_process.h"
#include "frontend/nn/set_data.h"
#include "guard_rows.h"

using namespace sinter;
using namespace sinter::test;

namespace {

Tensors mix(Tensors& v) {
  Tensor r = v[0] * 2 + 1;
  for (size_t i = 1; i < v.size(); ++i) r = r + v[i].sin();
  return r;
}

}  // namespace

TEST_CASE("G01 dtype") {
  check_row(
      {.f = mix,
       .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({m.n, 3}, kDouble))}, {ARGS(m({m.n, 3}, kLong))}, {ARGS(m({m.n, 3}, kBool))}}});
}

TEST_CASE("G02 rank") { check_row({.f = mix, .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({m.n * 3}))}, {ARGS(m({m.n, 3, 1}))}}}); }

TEST_CASE("G02 tensor, undefined, rank 0") {
  check_row({.f = GIVES(linear(v[0], v[1], v[2])),
             .states = {{ARGS(m({m.n, 3}), m({2, 3}), m({2}))}, {ARGS(m({m.n, 3}), m({2, 3}), Tensor())}}});
  check_row({.f = GIVES(v[0] * v[1]),
             .states = {{ARGS(m({m.n, 3}), m({3}))}, {ARGS(m({m.n, 3}), m({}))}, {ARGS(m({m.n, 3}), Tensor())}}});
}

TEST_CASE("G03 size of a dimension that does not sweep") {
  check_row({.f = mix, .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({m.n, 5}))}}});
}

namespace {
State rows_of(int64_t n) { return {ARGS(m({n, 3}))}; }
}  // namespace

TEST_CASE("G04 a generalised size, 0 and 1 included") {
  check_row({.f = GIVES(softmax(v[0] * 2, 1).sum(0), v[0].reshape({v[0].size(0) * 3})),
             .states = {rows_of(8), rows_of(6), rows_of(1), rows_of(0), rows_of(12), rows_of(2)},
             .no_sweep = "the states are the sweep"});
}

TEST_CASE("G04 divisibility that is lost") {
  const auto halves = [](Tensors& v) {
    const int64_t half = v[0].size(0) / 2;
    return tensors(v[0].narrow(0, 0, half * 2).view({half, 2, 3}).sum(1), v[0] * 2);
  };
  check_row({.f = halves,
             .states = {rows_of(8), rows_of(6), rows_of(7), rows_of(1), rows_of(0), rows_of(13)},
             .no_sweep = "the states are the sweep"});
  check_row({.f = GIVES(v[0].view({v[0].size(0) / 2, 2, 3}).sum(1)),  // an error for 7 and 1
             .states = {rows_of(8), rows_of(6), rows_of(7), rows_of(12), rows_of(1)},
             .no_sweep = "the states are the sweep"});
}

TEST_CASE("G05 two sizes that were equal differ") {
  const auto states = [](int64_t more) { return State{ARGS(m({m.n, 3}), m({m.n + more, 3}))}; };
  check_row({.f = GIVES(mm(v[0], v[1].t()).reshape({v[1].size(0), v[0].size(0)}).exp()), .states = {states(0), states(1)}});
  check_row({.f = GIVES(v[0] * v[1]), .states = {states(0), states(2)}});  // an error
  check_row({.f = GIVES(v[0].sum(0) + v[1].reshape({v[0].size(0), 3}).sin().sum(0)), .states = {states(0), states(2)}});
}

TEST_CASE("G06 stride") { check_row({.f = mix, .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({3, m.n}).t())}}}); }

TEST_CASE("G06 stride of a size-1 dimension") {
  check_row({.f = mix, .states = {{ARGS(m({m.n, 1, 3}))}, {ARGS(m.track(randn({1, m.n, 3}).transpose(0, 1)))}}, .hit = true});
}

TEST_CASE("G07 expanded, transposed, sliced with a step, permuted") {
  const State plain = {ARGS(m({m.n, 4}), m({m.n, 4}))};
  for (const State& other :
       {State{ARGS(m({1, 4}).expand({m.n, 4}), m({m.n, 1}).expand({m.n, 4}))}, State{ARGS(m({4, m.n}).t(), m({m.n, 4}))},
        State{ARGS(m({m.n * 2, 4}).slice(0, 0, m.n * 2, 2), m({m.n, 4}))},
        State{ARGS(m({m.n, 8}).slice(1, 1, 8, 2), m({m.n, 4}))}})
    check_row({.f = mix, .states = {plain, other}});
  check_row({.f = GIVES(v[0].contiguous() * 2, v[0].sum({0, 2}), v[0].clone()),
             .states = {{ARGS(m({m.n, 2, 3, 4}))}, {ARGS(m({m.n, 3, 4, 2}).permute({0, 3, 1, 2}))}}});  // channels last
}

TEST_CASE("G08 storage offset") {
  const auto at = [](int64_t i) { return State{ARGS(m.track(randn({9, m.n, 3}).select(0, i)))}; };
  check_row({.f = mix, .states = {at(0), at(1), at(8)}, .hit = true});
}

TEST_CASE("G08 offset of a view that is rebuilt from its base") {
  const auto at = [](int64_t i) {
    return State{[i](Maker& m) {
      const Tensor base = m({3, m.n, 2});
      return tensors(base, base.select(0, i));
    }};
  };
  // Written through the view: in training the base's gradient is put together from base and view.
  check_row({.f =
                 [](Tensors& v) {
                   v[1].mul_(3).exp_();
                   return tensors(v[0] * 3, v[1] + 1);
                 },
             .states = {at(0), at(2)},
             .writes = true});
}

TEST_CASE("G09 base alignment down to one element") {
  const auto at = [](int64_t i, ScalarType t) {
    return State{ARGS(m.track(randn({m.n * 16 + 16}, t).slice(0, i, i + m.n * 16)))};
  };
  const auto f = GIVES((v[0] * 3).exp(), v[0].sum());
  check_row({.f = f, .states = {at(0, kFloat), at(8, kFloat), at(4, kFloat), at(2, kFloat), at(1, kFloat)}, .hit = true});
  check_row({.f = f, .states = {at(0, kDouble), at(4, kDouble), at(2, kDouble), at(1, kDouble)}, .hit = true});
}

#if !defined(__SANITIZE_ADDRESS__)  // eager kernels read through float pointers too: undefined in C++, fine on x86
TEST_CASE("G09 G56 memory of another allocator, aligned to one byte") {
  static std::array<char, 1 << 13> memory;
  const auto at = [](int64_t byte) {
    return State{[byte](Maker& m) {
      const Tensor values = randn({m.n * 16});
      Tensor t = from_blob(memory.data() + byte, {m.n * 16});
      t.copy_(values);
      return tensors(m.track(t));
    }};
  };
  check_row({.f = GIVES((v[0] * 3).exp(), v[0].sum()), .states = {at(0), at(32), at(16), at(4), at(1), at(3)}, .hit = true});
}
#endif

TEST_CASE("G10 memory exchanged under a live view") {
  const State same = {[](Maker& m) {
    const Tensor w = m({m.n, 3});
    return tensors(w, w.select(1, 0));
  }};
  const State exchanged = {[](Maker& m) {
    const Tensor w = m({m.n, 3}), v = w.select(1, 0);
    sinter::detail::set_data(w, randn({m.n, 3}));
    return tensors(w, v);  // the view keeps the old memory
  }};
  check_row({.f = GIVES(v[0] * v[1].unsqueeze(1) + v[0]), .states = {same, exchanged}});
  check_row({.f =
                 [](Tensors& v) {
                   v[0].detach().mul_(2);
                   return v[1] + v[0].select(1, 0);
                 },
             .states = {same, exchanged}});
}

TEST_CASE("G10 memory exchanged inside the function, under a live view") {
  static bool exchange = false;
  check_row({.f =
                 [](Tensors& v) {
                   const Tensor y = v[0] * 2, view = v[0].select(1, 0);
                   if (exchange) sinter::detail::set_data(v[0], (v[0] * 3).detach());
                   return y.select(1, 0) + view + v[0].select(1, 1);
                 },
             .states = {{ARGS(m({m.n, 3})), [] { exchange = false; }}, {ARGS(m({m.n, 3})), [] { exchange = true; }}}});
  exchange = false;
}

TEST_CASE("G11 requires_grad, leaf, grad_fn, view of one") {
  const State plain = {ARGS(randn({m.n, 3}), m.leaf({3}))};
  const State leaf = {ARGS(m.leaf({m.n, 3}), m.leaf({3}))};
  const State result = {ARGS(m.leaf({m.n, 3}) * 2, m.leaf({3}))};
  const State view = {ARGS(m.leaf({2, m.n, 3}).select(0, 1), m.leaf({3}))};
  for (const State& other : {leaf, result, view}) check_row({.f = mix, .states = {plain, other}});
  check_row({.f = mix, .states = {leaf, result, view}});
}

TEST_CASE("G11 a view whose base came to require grad later") {
  const State plain = {ARGS(randn({2, m.n, 3}).select(0, 1), m.leaf({3}))};
  const State later = {[](Maker& m) {
    const Tensor base = randn({2, m.n, 3}), view = base.select(0, 1);
    Tensor(base).mul_(m.leaf({3}));
    return tensors(view, m.leaf({3}));
  }};
  check_row({.f = mix, .states = {plain, later}});
  check_row({.f = GIVES(v[0].exp()), .states = {plain, later}});
  check_row({.f = GIVES(v[0].requires_grad() ? v[0] + 1 : v[0] - 1), .states = {plain, later}});
}

TEST_CASE("G12 a tensor born without grad mode") {
  const State with = {ARGS(m.leaf({m.n, 3}) * 2, m.leaf({3}))};
  const State without = {[](Maker& m) {
    const NoGradGuard no_grad;
    return tensors(m.leaf({m.n, 3}) * 2, m.leaf({3}));
  }};
  const State view_without = {[](Maker& m) {
    const NoGradGuard no_grad;
    return tensors(m.leaf({2, m.n, 3}).select(0, 0), m.leaf({3}));
  }};
  check_row({.f = mix, .states = {with, without}});
  check_row({.f = mix, .states = {with, view_without}});
}

TEST_CASE("G14 number, rank-0 tensor, one-element tensor") {
  const auto f = GIVES(v.size() == 1 ? v[0] * 1.5 : v[0] * v[1]);
  for (const ScalarType t : {kFloat, kLong}) {
    const auto with = [t](const Tensors& more) {
      return State{[=](Maker& m) {
        Tensors all{m({m.n}, t)};
        all.insert(all.end(), more.begin(), more.end());
        return all;
      }};
    };
    const Row row = {.f = f,
                     .states = {with({}), with({scalar_tensor(1.5, kDouble)}), with({full({1}, 1.5, kDouble)}),
                                with({scalar_tensor(2, kLong)})}};
    check_row(t == kFloat ? row : Row{.f = f, .states = row.states, .no_training = "integers have no gradients"});
  }
}

TEST_CASE("G15 read-only memory: fine as an argument that is only read") {
  static float* memory = [] {
    void* p = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    return static_cast<float*>(p);
  }();
  check_row({.f = mix, .states = {{ARGS(m({m.n, 3}))}, {ARGS(m.track(from_blob(memory, {m.n, 3})))}}});
}

TEST_CASE("G15 read-only memory written: the same fault as in eager") {
  // No error can be thrown for it: memory protection is not the library's. What matters is that compiled code does not differ.
  const auto dies = [](bool compiled) {
    return in_child([compiled] {
      void* p = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      const Tensor t = from_blob(p, {8});
      const auto f = [](const Tensor& x) { x.add_(1); };
      signal(SIGSEGV, SIG_DFL);
      compiled ? compile(f)(t) : f(t);
      return true;
    });
  };
#if !defined(__SANITIZE_ADDRESS__)
  REQUIRE(dies(false) == by_signal(SIGSEGV));
  REQUIRE(dies(true) == by_signal(SIGSEGV));
#endif
}

TEST_CASE("G16 a value is read, a shape depends on it") {
  const auto f = [](Tensors& v) {
    const auto k = v[1].sum().item<int64_t>();
    const Tensor part = v[0].narrow(0, 0, k) * 2;
    return tensors(part, arange(k) + 1, part.sum() * static_cast<double>(k));
  };
  const auto first = [](int64_t k) { return State{ARGS(m({m.n, 3}), full({1}, k, kLong))}; };
  check_row({.f = f, .states = {first(2), first(3), first(1)}});
}

TEST_CASE("G17 no elements") {
  const auto f = GIVES(softmax(v[0], 1), v[0].sum(0), v[0].mean(), v[0] * v[1], mm(v[0], v[1].view({3, 1})));
  check_row({.f = f, .states = {{ARGS(m({m.n, 3}), m({3}))}, {ARGS(m({0, 3}), m({3}))}}});
  check_row({.f = mix, .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({m.n, 0}))}}});
}

namespace {
/// Address space that costs memory only where it is written; null when the system gives none.
float* sparse_memory(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<float*>(p);
}
}  // namespace

TEST_CASE("G18 offsets and byte spans past 2^31 and 2^32") {
  constexpr int64_t kRow = int64_t{1} << 30, kRows = 4;  // 4 GiB a row
  static float* memory = sparse_memory(kRow * kRows * sizeof(float));
  if (memory == nullptr) {
    WARN("no 16 GiB of address space: not run");
    return;
  }
  const State small = {ARGS(m({kRows, 64 + m.n}))};
  const State large = {[](Maker& m) {
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t i = 0; i < 64; ++i) memory[r * kRow + i] = static_cast<float>(r * 64 + i + m.n);
    for (int64_t i = 0; i < 64; ++i) memory[(kRows - 1) * kRow + kRow - 1 - i] = static_cast<float>(-i);
    return tensors(m.track(from_blob(memory, {kRows, kRow})));
  }};
  const auto f = [](Tensors& v) {
    const int64_t n = v[0].size(1);
    return tensors(v[0].narrow(1, 0, 5) * 2, v[0].narrow(1, n - 7, 7).exp(), v[0].select(1, 3) + 1,
                   v[0].reshape({kRows * n}).narrow(0, kRows * n - 5, 5).sum(),
                   v[0].select(0, kRows - 1).narrow(0, n - 3, 3).clone());
  };
  check_row({.f = f, .states = {small, large}, .no_training = "a gradient of 16 GiB"});
  munmap(memory, kRow * kRows * sizeof(float));
}

TEST_CASE("G18 more than 2^31 elements in one operator") {
  const auto f = [](const Tensor& x) { return x.expand({(int64_t{1} << 31) + 5}).amax(); };
  auto g = compile(f);
  REQUIRE(same_bits(g(full({1}, 2.5)), full({}, 2.5)));
}

TEST_CASE("G18 sizes whose product leaves 63 bits") {
  static int64_t rows = 4;
  const auto f = [](Tensors& v) {
    const Tensor wide = v[0].expand({rows, v[0].size(0)});
    return tensors(wide.narrow(0, 0, 2) * 2, wide.narrow(0, rows - 1, 1).sum());
  };
  const auto set = [](int64_t r) { return State{ARGS(m({m.n})), [r] { rows = r; }}; };
  check_row({.f = f, .states = {set(4), set(int64_t{1} << 33)}, .no_training = "a gradient of 2^33 rows"});
  check_row({.f = f, .states = {set(4), set(INT64_MAX)}});  // an error
  rows = 4;
}

// Creation, foreign memory, random numbers, reads of values.
#include "engine/creation.h"
#include <algorithm>
#include <catch2/catch.hpp>

using namespace sinter;

TEST_CASE("from_blob shares memory, with strides and a deleter") {
  float memory[6] = {0, 1, 2, 3, 4, 5};
  const Tensor rows = from_blob(memory, {2, 3});
  const Tensor columns = from_blob(memory, {3, 2}, {1, 3});
  CHECK(equal(columns, rows.t()));
  rows.add_(1);
  CHECK(memory[5] == 6);
  CHECK(columns[2][1].item<float>() == 6);
  int deleted = 0;
  {
    const Tensor owned = from_blob(memory, {6}, [&](void* p) {
      CHECK(p == memory);
      ++deleted;
    });
    const Tensor view = owned.view({2, 3});
    CHECK(deleted == 0);
  }
  CHECK(deleted == 1);
  int64_t numbers[2] = {7, 8};
  CHECK(from_blob(numbers, {2}, kLong).sum().item<int64_t>() == 15);
  CHECK_THROWS_AS(from_blob(nullptr, {2}), ValueError);
  CHECK_THROWS_AS(from_blob(memory, {2, 3}, {1}), ShapeError);
  CHECK(from_blob(nullptr, {0}).numel() == 0);
}

TEST_CASE("Writes to foreign memory that overlaps partly are refused") {
  float memory[8] = {};
  const Tensor a = from_blob(memory, {4}), b = from_blob(memory + 2, {4}), c = from_blob(memory + 4, {4});
  CHECK_THROWS_AS(a.add_(b), ValueError);
  CHECK_THROWS_AS(a.copy_(b), ValueError);
  a.fill_(1);
  c.add_(a);
  CHECK(c.sum().item<float>() == 4);
}

TEST_CASE("Options: type and gradient") {
  const Tensor w = ones({2}, dtype(kDouble).requires_grad(true));
  CHECK(w.dtype() == kDouble);
  CHECK(w.requires_grad());
  CHECK_FALSE(ones_like(w).requires_grad());
  CHECK(randn({2}, TensorOptions().requires_grad(true)).requires_grad());
  CHECK(zeros_like(w, kLong).dtype() == kLong);
  CHECK(tensor({1, 2}, kFloat).dtype() == kFloat);
  CHECK(tensor(std::vector<double>{1, 2}).dtype() == kFloat);
  CHECK(tensor({{{1, 2}}, {{3, 4}}}).sizes() == IntArrayRef({2, 1, 2}));
  CHECK(tensor({}).sizes() == IntArrayRef({0}));
  CHECK_THROWS_AS(tensor({TensorData(1), TensorData(2.5)}), DtypeError);
}

TEST_CASE("A seed gives the same numbers again, calls never the same ones") {
  manual_seed(5);
  const Tensor a = rand({100}), b = rand({100});
  manual_seed(5);
  CHECK(equal(a, rand({100})));
  CHECK(equal(b, rand({100})));
  CHECK_FALSE(equal(a, b));
  manual_seed(6);
  CHECK_FALSE(equal(a, rand({100})));
}

TEST_CASE("Random numbers have their range, mean and spread") {
  manual_seed(1);
  const int64_t n = 100000;
  const Tensor u = rand({n}), g = randn({n}), i = randint(-3, 4, {n}), f = empty({n}).bernoulli_(0.25);
  CHECK((u >= 0).logical_and(u < 1).all().item<bool>());
  CHECK(u.mean().item<float>() == Approx(0.5).margin(0.01));
  CHECK(g.mean().item<float>() == Approx(0).margin(0.02));
  CHECK(g.std().item<float>() == Approx(1).margin(0.02));
  CHECK(i.min().item<int64_t>() == -3);
  CHECK(i.max().item<int64_t>() == 3);
  CHECK(f.mean().item<float>() == Approx(0.25).margin(0.01));
  CHECK(((f == 0) | (f == 1)).all().item<bool>());
  CHECK(bernoulli(full({n}, 0.75)).mean().item<float>() == Approx(0.75).margin(0.01));
  const Tensor v = empty({n}, kDouble).uniform_(-2, 6);
  CHECK(v.mean().item<double>() == Approx(2).margin(0.05));
  CHECK((v >= -2).all().item<bool>());
  const Tensor z = empty({n}).normal_(3, 2);
  CHECK(z.mean().item<float>() == Approx(3).margin(0.05));
  CHECK(z.std().item<float>() == Approx(2).margin(0.05));
  const Tensor d = dropout(ones({n}), 0.2, true);
  CHECK(d.mean().item<float>() == Approx(1).margin(0.02));
  CHECK(((d == 0) | (d == 1.25)).all().item<bool>());
}

TEST_CASE("generator objects") {
  const Generator g = make_generator(5), same = g, other = g.clone();
  manual_seed(5);
  CHECK(equal(rand({7}, g), rand({7})));
  CHECK(equal(randn({7}, same), randn({7})));
  CHECK(equal(empty({3}).normal_(1, 2, g), empty({3}).normal_(1, 2)));
  CHECK(equal(empty({3}).uniform_(1, 2, g), empty({3}).uniform_(1, 2)));
  CHECK(equal(bernoulli(full({3}, 0.5), g), bernoulli(full({3}, 0.5))));
  CHECK(equal(randperm(6, g), randperm(6)));
  CHECK(equal(randint(2, 9, {4}, g, kFloat), randint(2, 9, {4}, kFloat)));
  CHECK(g.get_state() == default_generator().get_state());
  CHECK(other.counter() == 0);
  CHECK((g == same && !(g == other) && !(g == default_generator())));
  CHECK(equal(rand({3}, std::nullopt), rand({3}, std::optional<Generator>(g))));
  const uint64_t drawn = other.seed();
  CHECK((drawn == other.current_seed() && drawn == other.initial_seed() && drawn != 5));
  CHECK(Generator().current_seed() == Generator::kDefaultSeed);
  const Tensor n = empty({2000}, kLong).random_(-3, 5);
  CHECK((n.amin().item<int64_t>() == -3 && n.amax().item<int64_t>() == 4));
  CHECK(empty({2000}, kFloat).random_().amax().item<double>() <= (1 << 24));
  CHECK(empty({2000}, kBool).random_().to(kFloat).mean().item<float>() == Approx(0.5).margin(0.05));
  CHECK_THROWS_AS(empty({2}).random_(3, 3), ValueError);
  CHECK_THROWS_AS(empty({2}, kBool).random_(3), ValueError);
  CHECK_THROWS_AS(empty({2}).random_(int64_t{1} << 40), ValueError);
}

TEST_CASE("randperm holds each number once, in another order each time") {
  manual_seed(3);
  const Tensor p = randperm(1000), q = randperm(1000);
  CHECK_FALSE(equal(p, q));
  CHECK_FALSE(equal(p, arange(1000)));
  std::vector<int64_t> values(p.const_data_ptr<int64_t>(), p.const_data_ptr<int64_t>() + 1000);
  std::sort(values.begin(), values.end());
  for (int64_t i = 0; i < 1000; ++i) REQUIRE(values[static_cast<size_t>(i)] == i);
  CHECK(randperm(0).numel() == 0);
}

TEST_CASE("Reads of values") {
  CHECK(tensor(3.5).item<float>() == 3.5f);
  CHECK(tensor({7}).item<int64_t>() == 7);
  CHECK(tensor({true}).item<bool>());
  CHECK(tensor({{1.5, 2.5}})[0][1].item<double>() == 2.5);
  CHECK_THROWS_AS(ones({2}).data_ptr<double>(), DtypeError);
  Tensor t = zeros({3});
  t.data_ptr<float>()[1] = 4;
  CHECK(t.sum().item<float>() == 4);
  CHECK(t.size(-1) == 3);
  CHECK_THROWS_AS(t.size(1), IndexError);
  CHECK_THROWS_AS(Tensor().sizes(), Error);
}

TEST_CASE("equal and allclose") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(allclose(tensor({1.0, inf}), tensor({1.000001, inf})));
  CHECK_FALSE(allclose(tensor({1.0}), tensor({inf})));
  CHECK_FALSE(allclose(tensor({inf}), tensor({-inf})));
  CHECK_FALSE(allclose(tensor({nan}), tensor({nan})));
  CHECK(allclose(tensor({nan}), tensor({nan}), 0, 0, true));
  CHECK_FALSE(allclose(tensor({1.0}), tensor({1.1})));
  CHECK(allclose(tensor({1.0}), tensor({1.1}), 0.2));
  CHECK_FALSE(equal(ones({2}), ones({3})));
  CHECK_THROWS_AS(equal(ones({2}), ones({2}, kDouble)), DtypeError);
}

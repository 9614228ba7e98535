// Calls that a frame must tell apart, each where one compare alone decides: on the first use of an input (with the short
// guard and with the careful one) and between results of the region.
#include <functional>
#include "runtime/cpu.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

using Make = std::function<std::vector<Tensor>()>;
using Fn = std::function<Tensor(std::vector<Tensor>&)>;

/// The same bytes in other memory, with the same strides.
Tensor same_layout(const Tensor& t) {
  Tensor copy = empty_strided(t.sizes(), t.strides(), t.dtype());
  copy.copy_(t.detach());
  if (t.requires_grad()) copy.set_requires_grad(true);
  return copy;
}

/// The two kinds of arguments in turn, the first one recorded first; results, strides, written arguments and versions as in
/// eager.
void told_apart(const Fn& f, const Make& a, const Make& b) {
  auto g = compile(f);
  for (const Make* make : {&a, &a, &b, &a, &b, &b, &b, &a, &a, &b}) {
    std::vector<Tensor> mine = (*make)(), theirs;
    for (Tensor& t : mine) {
      theirs.push_back(same_layout(t));
      t = same_layout(t);
    }
    const Tensor want = f(mine), got = g(theirs);
    REQUIRE(same_bits(want, got));
    REQUIRE(want.strides() == got.strides());
    REQUIRE(want.requires_grad() == got.requires_grad());
    REQUIRE(want._version() == got._version());
    for (size_t i = 0; i < mine.size(); ++i) {
      REQUIRE(same_bits(mine[i], theirs[i]));
      REQUIRE(mine[i]._version() == theirs[i]._version());
    }
  }
}

/// As the first operator (short guard), and in an in-place call's second operand (careful guard).
void told_apart_both_ways(const Make& a, const Make& b) {
  told_apart([](std::vector<Tensor>& v) { return (v[0].abs() * 2).exp(); }, a, b);
  told_apart([](std::vector<Tensor>& v) { return v[0] * 2 + 1; }, a, b);
  told_apart([](std::vector<Tensor>& v) { return zeros({1}).to(kDouble) + v[0].sum(0).abs(); }, a, b);
}

Make one(Tensor t) {
  return [t] { return std::vector<Tensor>{t}; };
}

struct Toggle {
  bool on = false;
  /// Calls `check(on)` eight times: off, off, on, off, on, on, off, on.
  void run(const std::function<void()>& check) {
    for (const bool value : {false, false, true, false, true, true, false, true}) on = value, check();
  }
};

}  // namespace

TEST_CASE("inputs: rank, sizes, strides, dtype, requires_grad") {
  const Tensor x = randn({4});
  told_apart_both_ways(one(x), one(randn({4, 1})));
  told_apart_both_ways(one(randn({4, 1})), one(x));
  told_apart_both_ways(one(x), one(randn({5})));
  told_apart_both_ways(one(randn({5})), one(x));
  told_apart_both_ways(one(x), one(randn({4}, kDouble)));
  told_apart_both_ways(one(randn({3, 4})), one(randn({4, 3}).t()));
  told_apart_both_ways(one(randn({4, 4}).t()), one(randn({4, 4})));
  told_apart_both_ways(one(randn({4})), one(randn({8}).slice(0, 0, 8, 2)));
  told_apart_both_ways(one(randn({4})), [] { return std::vector<Tensor>{randn({4}).set_requires_grad(true)}; });
  told_apart_both_ways([] { return std::vector<Tensor>{randn({4}).set_requires_grad(true)}; }, one(randn({4})));
}

TEST_CASE("inputs: a wrapped number") {
  auto g = compile([](const Tensor& a, const Tensor& s) { return (a * s).abs() + a; });
  const Tensor a = arange(3);
  Toggle wrapped;
  wrapped.run([&] {
    const Tensor s = full({}, 1.5, kDouble);
    s.impl()->set(head::kWrapped, wrapped.on);
    REQUIRE(g(a, s).dtype() == (wrapped.on ? kFloat : kDouble));
  });
}

TEST_CASE("inputs: a result of the region instead of one from outside") {
  Toggle own;
  const Tensor other = randn({6});
  const auto f = [&](const Tensor& x) {
    const Tensor y = x.sin();
    const Tensor z = (own.on ? y : other).cos();
    return z + y;
  };
  auto g = compile(f);
  own.run([&] {
    const Tensor x = randn({6});
    REQUIRE(same_bits(g(x), f(x)));
  });
}

TEST_CASE("operands: which result") {
  bool swap = false;
  const auto pick = [&](const Tensor& a, const Tensor& b) { return swap ? b : a; };
  using Body = std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>;
  const std::pair<const char*, Body> bodies[] = {
      {"plain", [&](const Tensor& a, const Tensor& b, const Tensor&) { return pick(a, b).exp(); }},
      {"with a scalar", [&](const Tensor& a, const Tensor& b, const Tensor&) { return pick(a, b) * 3.0; }},
      {"beside an input", [&](const Tensor& a, const Tensor& b, const Tensor& w) { return mul(pick(a, b), w); }},
      {"three operands", [&](const Tensor& a, const Tensor& b, const Tensor&) { return where(a > 0, pick(a, b), b); }},
      {"careful", [&](const Tensor& a, const Tensor& b, const Tensor&) { return pick(a, b).slice(0, 1, 3); }},
      {"an input used before", [&](const Tensor& a, const Tensor&, const Tensor& w) { return a * w + pick(w, a); }},
  };
  for (const auto& [what, body] : bodies) {
    INFO(what);
    const auto f = [&, &body = body](const Tensor& x, const Tensor& w) { return body(x.sin(), x.cos(), w); };
    auto g = compile(f);
    for (const bool value : {false, false, true, false, true, true, false, true}) {
      swap = value;
      const Tensor x = randn({5}), w = randn({5});
      REQUIRE(same_bits(g(x, w), f(x, w)));
    }
  }
}

TEST_CASE("operands: the same tensor as two inputs") {
  Toggle same;
  const Tensor a = randn({5}), b = randn({5});
  SECTION("of one call") {
    const auto f = [](const Tensor& x, const Tensor& y) { return sub(x, y) * 2; };
    auto g = compile(f);
    same.run([&] { REQUIRE(same_bits(g(a, same.on ? a : b), f(a, same.on ? a : b))); });
  }
  using Body = std::function<Tensor(const Tensor&, const Tensor&)>;
  const std::pair<const char*, Body> firsts[] = {
      {"of one plain call", [](const Tensor& x, const Tensor& y) { return mul(x, y); }},
      {"of one careful call",
       [](const Tensor& x, const Tensor& y) {
         return cat({x, y}, 0).slice(0, 0, 5);
       }},
      {"of two plain calls", [](const Tensor& x, const Tensor& y) { return mul(x.sin(), y); }},
      {"of two calls, the second careful",
       [](const Tensor& x, const Tensor& y) {
         return cat({x.sin(), y}, 0).slice(0, 3, 8);
       }},
      {"of a call with a scalar", [](const Tensor& x, const Tensor& y) { return x.sin() + y * 2.0; }},
  };
  for (const auto& [what, first] : firsts) DYNAMIC_SECTION("then written: " << what) {
      const auto f = [&, &first = first](const Tensor& x, const Tensor& y) {
        const Tensor s = first(x, y);
        x.add_(1);
        return s + y * 2.0;
      };
      auto g = compile(f);
      same.run([&] {
        const Tensor x = randn({5}), y = randn({5}), p = x.clone(), q = y.clone();
        REQUIRE(same_bits(g(x, same.on ? x : y), f(p, same.on ? p : q)));
        REQUIRE(same_bits(x, p));
        REQUIRE(same_bits(y, q));
      });
    }
}

TEST_CASE("modes: grad mode and the default dtype, also between results") {
  Toggle mode;
  SECTION("grad mode") {
    const auto f = [&](const Tensor& x) {
      const Tensor y = x.sin();
      const AutoGradMode grad(!mode.on);
      return mul(y.cos(), y) * 2.0;
    };
    auto g = compile(f);
    mode.run([&] {
      const Tensor x = randn({4}).set_requires_grad(true);
      REQUIRE(g(x).requires_grad() == !mode.on);
    });
  }
  SECTION("default dtype") {
    const auto f = [&](const Tensor& x) {
      const Tensor y = x * 2;
      set_default_dtype(mode.on ? kDouble : kFloat);
      const Tensor r = div(y, x) + y / 4;
      const Tensor s = x.to(kLong).exp();
      set_default_dtype(kFloat);
      return cat({r, s.to(r.dtype())}, 0);
    };
    for (const bool generated : {true, false}) {
      set_isa_cap(generated ? detected_isa() : Isa::None);
      auto g = compile(f);
      mode.run([&] {
        const Tensor x = arange(1, 6);
        const Tensor got = g(x);
        REQUIRE(got.dtype() == (mode.on ? kDouble : kFloat));
        REQUIRE(same_bits(got, f(x)));
      });
    }
    set_isa_cap(detected_isa());
  }
}

TEST_CASE("attributes, integers, scalars and how many operands") {
  bool other = false;
  const std::pair<const char*, std::function<Tensor(const Tensor&)>> functions[] = {
      {"attribute of a plain call", [&](const Tensor& x) { return x.sin().sum({other ? 0 : 1}); }},
      {"attribute beside an input", [&](const Tensor& x) { return x.sum({other ? 0 : 1}); }},
      {"attribute on the careful path", [&](const Tensor& x) { return x.sin().transpose(0, other ? 1 : 0) * x; }},
      {"integer", [&](const Tensor& x) { return x.cos().select(0, other ? 1 : 2); }},
      {"side of a scalar", [&](const Tensor& x) { return other ? x.sin() / 3.0 : 3.0 / x.sin(); }},
      {"side of a scalar, with an input", [&](const Tensor& x) { return other ? x - 3.0 : 3.0 - x; }},
      {"type of a scalar", [&](const Tensor& x) { return other ? x.to(kLong).abs() * 2 : x.to(kLong).abs() * 2.5; }},
      {"type of a scalar, with an input", [&](const Tensor& x) { return other ? pow(x > 0, 2) : (x > 0) * 2.5; }},
      {"number of operands", [&](const Tensor& x) { return cat(std::vector<Tensor>(other ? 8 : 9, x.sin()), 0); }},
      {"number of a few operands", [&](const Tensor& x) { return cat(std::vector<Tensor>(other ? 2 : 3, x.sin()), 0); }},
      {"operator of a plain call", [&](const Tensor& x) { return other ? x.sin().exp() : x.sin().cos(); }},
      {"operator beside an input", [&](const Tensor& x) { return other ? x.exp() : x.cos(); }},
      {"operator on the careful path", [&](const Tensor& x) { return Tensor(other ? x.sin().exp_() : x.sin().cos_()); }},
  };
  for (const auto& [what, f] : functions) {
    INFO(what);
    auto g = compile(f);
    for (const bool value : {false, false, true, false, true, true, false, true}) {
      other = value;
      const Tensor x = randn({4, 4}) * 3;
      REQUIRE(same_bits(g(x), f(x)));
    }
  }
}

TEST_CASE("scalars are read at every call, in plain calls and in careful ones") {
  double s = 1;
  const auto f = [&](const Tensor& x) { return (x.sin() * s + s).clamp(-s, s).mul(s) + (x * s); };
  auto g = compile(f);
  for (s = 0.5; s < 4; s += 0.5) {
    const Tensor x = randn({7});
    REQUIRE(same_bits(g(x), f(x)));
  }
}

TEST_CASE("undefined operands") {
  Toggle bias;
  const Tensor w = randn({3, 4}), b = randn({3});
  const auto f = [&](const Tensor& x) {
    return nn::functional::linear(x.sin(), w, bias.on ? b : Tensor()) + nn::functional::linear(x, w, bias.on ? Tensor() : b);
  };
  auto g = compile(f);
  bias.run([&] {
    const Tensor x = randn({2, 4});
    REQUIRE(same_bits(g(x), f(x)));
  });
}

TEST_CASE("an undefined operand in the middle") {
  Toggle weight;
  const Tensor w = randn({4}), b = randn({4});
  const auto f = [&](const Tensor& x) { return layer_norm(x.sin(), {4}, weight.on ? w : Tensor(), b); };
  auto g = compile(f);
  weight.run([&] {
    const Tensor x = randn({2, 4});
    REQUIRE(same_bits(g(x), f(x)));
  });
}

TEST_CASE("an undefined operand where a tensor was recorded throws as in eager") {
  auto g = compile([](const Tensor& x, const Tensor& y) { return x + y; });
  const Tensor x = randn({3});
  for (int i = 0; i < 3; ++i) {
    REQUIRE(same_bits(g(x, x.sin()), x + x.sin()));
    REQUIRE_THROWS_AS(g(x, Tensor()), Error);
  }
}

TEST_CASE("the stride of a dimension of size 1 is no guard") {
  auto g = compile([](const Tensor& x) { return x.sin() + 1; });
  for (int i = 0; i < 3; ++i) {
    g(empty_strided({4, 1}, {1, 1}).fill_(1));
    g(empty_strided({4, 1}, {1, 9}).fill_(1));
  }
  REQUIRE(compiles(g) == 1);
}

namespace {
/// Strides, offsets and bits of what a compiled call gives are those of eager's.
void require_same_views(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].strides() == b[i].strides());
    REQUIRE(a[i].storage_offset() == b[i].storage_offset());
    REQUIRE(same_bits(a[i], b[i]));
  }
}
/// [1, 6], of another stride where the size is 1.
Tensor one_row(int64_t stride) { return arange(3 * stride).to(kFloat).view({3, stride}).slice(0, 1, 2).slice(1, 0, 6); }
}  // namespace

TEST_CASE("views of an input whose size-1 dimension has another stride are eager's") {
  std::vector<int64_t> seen;
  const auto f = [&](const Tensor& x) -> std::vector<Tensor> {
    const Tensor y = x * 2, t = x.t(), dropped = x.t(), also = x.slice(0, 1, 1);
    seen = {dropped.stride(1), also.storage_offset(), also.stride(0)};
    return {y, x.slice(0, 1, 3), t, t.slice(1, 1, 1), x.unsqueeze(0).transpose(0, 2), y.t(), t + 1, x.select(1, 3)};
  };
  auto g = compile(f);
  std::vector<std::vector<Tensor>> kept;
  for (int64_t stride : {6, 6, 9, 6, 9, 12, 6, 6, 12})
    for (bool track : {false, true}) {
      const Tensor x = one_row(stride);
      if (track) x.set_requires_grad(true);
      const std::vector<Tensor> expected = f(x);
      const std::vector<int64_t> eager = seen;
      require_same_views(g(x), expected);
      std::vector<Tensor> again = g(x);
      REQUIRE(seen == eager);
      require_same_views(again, expected);
      if (stride != 9) kept.push_back(std::move(again));
      require_same_views(g(x), f(x));
    }
  REQUIRE(compiles(g) == 2);
}

TEST_CASE("views recorded below another stride of a size-1 dimension are eager's in every call") {
  Toggle path;
  const auto f = [&](const Tensor& x) -> std::vector<Tensor> {
    const Tensor y = x + 1;
    if (path.on) return {y * 2, x.t(), x.slice(0, 1, 1), x.t().slice(1, 1, 1).t()};
    return {y, x.slice(0, 1, 2)};
  };
  auto g = compile(f);
  for (int i = 0; i < 3; ++i)
    for (int64_t stride : {6, 9}) {
      path.on = stride == 9 || i > 0;  // first taken with a stride that is not the guard's
      require_same_views(g(one_row(stride)), f(one_row(stride)));
      require_same_views(g(one_row(15 - stride)), f(one_row(15 - stride)));
    }
}

TEST_CASE("in place or not") {
  Toggle inplace;
  const auto f = [&](const Tensor& x) {
    const Tensor y = x.sin();
    const Tensor z = inplace.on ? Tensor(y.add_(x)) : y + x;
    return z + y;
  };
  auto g = compile(f);
  inplace.run([&] {
    const Tensor x = randn({6});
    REQUIRE(same_bits(g(x), f(x)));
  });
}

TEST_CASE("versions of results start anew with every call") {
  Toggle keep;
  const auto f = [&](const Tensor& x) {
    Tensor y = x.sin();
    y.add_(1);
    y.mul_(2);
    return keep.on ? y : x + 1;
  };
  auto g = compile(f);
  keep.run([&] {
    const Tensor x = randn({6});
    REQUIRE(g(x)._version() == f(x)._version());
  });
}

TEST_CASE("what was given away is nobody else's") {
  SECTION("a result") {
    auto g = compile([](const Tensor& x) { return x * 2; });
    std::vector<Tensor> kept;
    for (int i = 0; i < 4; ++i) kept.push_back(g(full({3}, static_cast<double>(i))));
    for (int i = 0; i < 4; ++i) REQUIRE(kept[static_cast<size_t>(i)].select(0, 1).item<float>() == 2.0f * static_cast<float>(i));
  }
  SECTION("a view of a result that is gone") {
    auto g = compile([](const Tensor& x) { return (x * 2).slice(0, 1, 3); });
    std::vector<Tensor> kept;
    for (int i = 0; i < 4; ++i) kept.push_back(g(full({3}, static_cast<double>(i))));
    for (int i = 0; i < 4; ++i) REQUIRE(kept[static_cast<size_t>(i)].select(0, 1).item<float>() == 2.0f * static_cast<float>(i));
  }
  SECTION("a view of a result that is gone, which autograd does not remember") {
    auto g = compile([](const Tensor& x) { return (x * 2).slice(0, 1, 3); });
    std::vector<Tensor> kept;
    for (int i = 0; i < 4; ++i) kept.push_back(g(full({3}, i, kLong)));
    for (int i = 0; i < 4; ++i) REQUIRE(kept[static_cast<size_t>(i)].select(0, 1).item<int64_t>() == 2 * i);
  }
  SECTION("a result wanted in some calls only") {
    Toggle want;
    Tensor extra;
    const auto f = [&](const Tensor& x) {
      const Tensor h = x.exp();
      if (want.on) extra = h;
      return h.sum();
    };
    auto g = compile(f);
    want.run([&] {
      const Tensor x = randn({9});
      const Tensor s = g(x);
      REQUIRE(same_bits(s, x.exp().sum()));
      if (want.on) REQUIRE(same_bits(extra, x.exp()));
    });
  }
}

TEST_CASE("memory exposed or borrowed inside a call is current after every operator") {
  SECTION("data_ptr, then operators on the short and the careful path") {
    auto g = compile([](const Tensor& x) {
      const Tensor y = x.sin();
      float* p = y.data_ptr<float>();
      p[0] = 5;
      const Tensor a = y.abs();
      p[0] = 7;
      const Tensor b = y.slice(0, 0, 2) * 1.0;
      p[0] = 9;
      const Tensor c = y.exp();
      p[0] = 1;
      return a.select(0, 0) + b.select(0, 0) * 100 + c.select(0, 0).log() * 10000;
    });
    for (int i = 0; i < 4; ++i) REQUIRE(g(randn({4})).item<float>() == Approx(5 + 700 + 90000));
  }
  SECTION("a local array") {
    auto g = compile([](const Tensor& x) {
      float local[2] = {1, 2};
      const Tensor b = from_blob(local, {2});
      const Tensor s = b.abs();
      local[0] = 50;
      const Tensor t = b.slice(0, 0, 1) + x;
      local[0] = -1;
      return s.select(0, 0) + t;
    });
    for (int i = 0; i < 4; ++i) REQUIRE(g(ones({1})).item<float>() == 52);
  }
}

TEST_CASE("generalised sizes: other dimensions and layouts are still compared") {
  const auto f = [](const Tensor& x) { return (x.sin() * 2).sum({1}) + 1; };
  auto g = compile(f);
  for (const int64_t n : {4, 5, 6, 7}) {
    const Tensor x = randn({n, 8});
    for (int i = 0; i < 2; ++i) REQUIRE(same_bits(g(x), f(x)));
  }
  for (const Tensor& x : {randn({9, 3}), randn({8, 9}).t(), randn({9, 16}).slice(1, 0, 16, 2), randn({6, 8}), randn({1, 8})})
    for (int i = 0; i < 3; ++i) REQUIRE(same_bits(g(x), f(x)));
}

TEST_CASE("a row of two regions keeps nothing of the first") {
  const auto f = [](const Tensor& x, const Tensor& y) {
    const Tensor a = x * 2;
    graph_break();
    const Tensor b = x.view({-1}) + y.view({-1});  // x is an input of this region too
    y.add_(1);
    graph_break();
    const Tensor c = y * x;
    x.add_(a);
    return c + b.view(x.sizes());
  };
  auto g = compile(f);
  for (const int64_t n : {3, 3, 4, 5, 5, 4}) {
    const Tensor x = randn({n, 2}), y = randn({n, 2}), u = x.clone(), v = y.clone();
    REQUIRE(same_bits(g(x, y), f(u, v)));
    REQUIRE(same_bits(x, u));
    REQUIRE(same_bits(y, v));
  }
}

TEST_CASE("values are checked at every call, however the call is replayed") {
  const Tensor good = tensor({1, 0, 2}), bad = tensor({1, 3, 2});
  const auto by_new_inputs = [](const Tensor& x, const Tensor& i) { return x.index_select(0, i) * 2; };
  const auto by_known_ones = [](const Tensor& x, const Tensor& i) {
    const Tensor y = x.sin(), j = i + 1;
    return y.index_select(0, i) + j;
  };
  auto a = compile(by_new_inputs);
  auto b = compile(by_known_ones);
  const Tensor x = randn({3});
  for (int turn = 0; turn < 4; ++turn) {
    REQUIRE(same_bits(a(x, good), by_new_inputs(x, good)));
    REQUIRE(same_bits(b(x, good), by_known_ones(x, good)));
    REQUIRE_THROWS_AS(a(x, bad), IndexError);
    REQUIRE_THROWS_AS(b(x, bad), IndexError);
  }
}

TEST_CASE("an index computed in the region is brought in for its check") {
  auto g = compile([](const Tensor& x, const Tensor& i) { return x.index_select(0, i + 1); });
  const Explanation e = explain(g)(randn({4}), tensor({0, 2}));
  REQUIRE(e.regions.size() == 2);
  REQUIRE(e.regions[0].break_name == "value_check");
}

TEST_CASE("a view made in the region starts relative to its base") {
  const auto f = [](const Tensor& x) {
    const Tensor part = x.slice(0, 1, 3);
    x.mul_(2);
    return std::vector<Tensor>{part, x.t(), part * 1};
  };
  auto g = compile(f);
  const Tensor memory = randn({12, 3}), same = memory.clone();
  for (const int64_t start : {4, 4, 0, 6, 2}) {
    const auto got = g(memory.slice(0, start, start + 4)), want = f(same.slice(0, start, start + 4));
    for (size_t i = 0; i < want.size(); ++i) REQUIRE(same_bits(got[i], want[i]));
    REQUIRE(got[0].storage_offset() == want[0].storage_offset());
  }
}

TEST_CASE("inputs that share memory in some calls: one is read, the other written, the first read again") {
  const auto f = [](const Tensor& x, const Tensor& y) {
    const Tensor before = y.exp();
    x.add_(1);
    return cat({before, y.exp()}, 0);
  };
  SECTION("of one storage, first apart, then nearer") {
    auto g = compile(f);
    const Tensor memory = randn({16}), same = memory.clone();
    for (const int64_t at : {8, 8, 2, 8, 4, 3, 0, 8}) {
      REQUIRE(
          same_bits(g(memory.slice(0, 0, 4), memory.slice(0, at, at + 4)), f(same.slice(0, 0, 4), same.slice(0, at, at + 4))));
      REQUIRE(same_bits(memory, same));
    }
  }
  SECTION("over foreign memory") {
    auto g = compile(f);
    std::vector<float> ours(16, 1.0f), theirs(16, 1.0f);
    for (const int64_t at : {8, 8, 2, 8, 3, 1}) {
      const Tensor got = g(from_blob(ours.data(), {4}), from_blob(ours.data() + at, {4}));
      const Tensor want = f(from_blob(theirs.data(), {4}), from_blob(theirs.data() + at, {4}));
      REQUIRE(same_bits(got, want));
      REQUIRE(ours == theirs);
    }
  }
}

TEST_CASE("what one compiled function wrote, another one takes") {
  auto g = compile([](const Tensor& x) { x.add_(1); });
  auto h = compile([](const Tensor& x) { return x.sin() * 2; });
  const Tensor x = zeros({4});
  for (int i = 1; i < 4; ++i) {
    g(x);
    REQUIRE(same_bits(h(x), full({4}, i).to(kFloat).sin() * 2));
  }
}

TEST_CASE("integers that follow a size are those of the call") {
  for (const bool generated : {true, false}) {
    set_isa_cap(generated ? detected_isa() : Isa::None);
    const auto f = [](const Tensor& x) {
      const int64_t n = x.size(0);
      const Tensor y = x.slice(0, n / 2, n - 1);
      sum(y * y).backward();
      return y + 1;
    };
    auto g = compile(f);
    for (const int64_t n : {6, 6, 8, 10, 10, 12, 8, 8}) {
      const Tensor a = randn({n, 2}).set_requires_grad(true), b = a.detach().clone().set_requires_grad(true);
      REQUIRE(same_bits(g(a), f(b)));
      REQUIRE(same_bits(a.grad(), b.grad()));
    }
  }
  set_isa_cap(detected_isa());
}

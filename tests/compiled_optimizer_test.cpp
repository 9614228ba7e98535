// compile(optimizer): eager's bits, one kernel for all parameters of a kind, nothing compiled again for other rates.
#include <memory>
#include "codegen/kernel.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

using Make = std::function<std::unique_ptr<optim::Optimizer>(const std::vector<optim::OptimizerParamGroup>&)>;

template <class O, class Options>
Make made(Options options) {
  return [options](const std::vector<optim::OptimizerParamGroup>& groups) { return std::make_unique<O>(groups, options); };
}

const std::vector<std::pair<const char*, Make>>& optimizers() {
  using namespace optim;
  static const std::vector<std::pair<const char*, Make>> all = {
      {"SGD", made<SGD>(SGDOptions(0.1))},
      {"SGD with all", made<SGD>(SGDOptions(0.1).momentum(0.9).weight_decay(0.01).nesterov(true))},
      {"Adam", made<Adam>(AdamOptions(0.01))},
      {"Adam amsgrad", made<Adam>(AdamOptions(0.01).amsgrad(true).weight_decay(0.1))},
      {"AdamW", made<AdamW>(AdamWOptions(0.01))},
      {"RMSprop", made<RMSprop>(RMSpropOptions(0.01).centered(true).momentum(0.9))},
      {"Adagrad", made<Adagrad>(AdagradOptions(0.01))},
      {"NAdam", made<NAdam>(NAdamOptions(0.01))},
  };
  return all;
}

/// Parameters of many shapes in two groups, with gradients that are drawn anew at each step.
struct World {
  World(const Make& make, size_t n) {
    static const std::vector<std::vector<int64_t>> shapes = {{3, 5}, {7}, {1}, {64}, {33, 9}, {2, 2, 2}, {130}, {17}, {5, 1}};
    manual_seed(3);
    for (size_t i = 0; i < n; ++i) params.push_back(randn(shapes[i % shapes.size()]).set_requires_grad(true));
    const auto half = params.begin() + static_cast<std::ptrdiff_t>(n / 2);
    opt = make({optim::OptimizerParamGroup({params.begin(), half}), optim::OptimizerParamGroup({half, params.end()})});
  }
  void draw(int step) {
    manual_seed(step);
    for (const Tensor& p : params) {
      const Tensor g = randn(p.sizes());
      if (p.grad().defined()) p.mutable_grad().add_(g);
      else p.mutable_grad() = g;
    }
  }
  std::vector<Tensor> params;
  std::unique_ptr<optim::Optimizer> opt;
};

}  // namespace

TEST_CASE("steps, schedules, groups with options of their own, missing gradients") {
  for (const auto& [name, make] : optimizers()) {
    INFO(name);
    World a(make, 7), b(make, 7);
    auto update = compile(*b.opt);
    for (int i = 0; i < 12; ++i) {
      INFO("step " << i);
      for (World* w : {&a, &b}) {
        w->draw(i);
        if (i % 5 == 4) w->params[2].mutable_grad().reset();
        w->opt->param_groups()[1].options().set_lr(0.1 / (i + 1));
      }
      a.opt->step();
      a.opt->zero_grad(i % 3 == 0);
      if (i % 4 == 1) update();
      else update.step();
      update.zero_grad(i % 3 == 0);
      for (size_t k = 0; k < a.params.size(); ++k) {
        REQUIRE(same_bits(a.params[k], b.params[k]));
        REQUIRE(a.params[k].grad().defined() == b.params[k].grad().defined());
        if (a.params[k].grad().defined()) REQUIRE(same_bits(a.params[k].grad(), b.params[k].grad()));
        REQUIRE(a.params[k]._version() == b.params[k]._version());
      }
    }
    CHECK(update.stats().eager_fallbacks == 0);
  }
}

TEST_CASE("the number of kernels does not grow with that of parameters; other rates compile nothing") {
  if (!codegen::jit_available()) return;
  for (const auto& [name, make] : optimizers()) {
    INFO(name);
    size_t kernels[2] = {};
    for (const size_t n : {4, 40}) {
      World w(make, n);
      auto update = compile(*w.opt);
      const auto step = [&](int i) {
        w.draw(i);
        return explain(update)();
      };
      for (int i = 0; i < 3; ++i) step(i);  // the first makes the states
      const int64_t compiled = update.stats().regions_compiled;
      Explanation e;
      for (int i = 3; i < 8; ++i) {
        w.opt->param_groups()[0].options().set_lr(0.3 / i);
        e = step(i);
      }
      CHECK(update.stats().regions_compiled == compiled);
      REQUIRE(e.regions.size() == 1);
      INFO(e.str());
      kernels[n == 40] = e.regions[0].assembly.size();
    }
    CHECK(kernels[0] == kernels[1]);
  }
}

TEST_CASE("a closure, a loaded state, an optimizer stepped directly in between, an exception") {
  World a(optimizers()[2].second, 5), b(optimizers()[2].second, 5);
  auto update = compile(*b.opt, {.name = "update"});
  const auto loss_of = [](World& w) {
    return [&w] {
      w.opt->zero_grad();
      Tensor loss;
      for (const Tensor& p : w.params) loss = loss.defined() ? loss + p.square().sum() : p.square().sum();
      loss.backward();
      return loss;
    };
  };
  std::optional<optim::OptimizerStateDict> saved[2];
  for (int i = 0; i < 10; ++i) {
    if (i == 3) saved[0] = a.opt->state_dict(), saved[1] = b.opt->state_dict();
    if (i == 6) a.opt->load_state_dict(*saved[0]), b.opt->load_state_dict(*saved[1]);
    const Tensor x = a.opt->step(loss_of(a)), y = i % 3 == 2 ? b.opt->step(loss_of(b)) : update.step(loss_of(b));
    REQUIRE(same_bits(x, y));
    for (size_t k = 0; k < a.params.size(); ++k) REQUIRE(same_bits(a.params[k], b.params[k]));
  }
  REQUIRE_THROWS_WITH(update.step([]() -> Tensor { throw std::runtime_error("from a closure"); }), "from a closure");
  REQUIRE(same_bits(a.opt->step(loss_of(a)), update.step(loss_of(b))));
}

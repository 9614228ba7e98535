// Optimizers against PyTorch 1.13 (tests/data/optim.json: parameters after 10 steps), groups, states and errors.
#include <sinter/sinter.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include "engine/creation.h"

using namespace sinter;
using namespace sinter::optim;

namespace {

using Params = std::vector<Tensor>;
using Make = std::function<std::unique_ptr<Optimizer>(Params)>;

template <class O, class Options>
Make make(Options options) {
  return [options](Params p) { return std::make_unique<O>(std::move(p), options); };
}

const std::vector<std::pair<std::string, Make>>& configurations() {
  static const std::vector<std::pair<std::string, Make>> all = {
      {"sgd", make<SGD>(SGDOptions(0.1))},
      {"sgd_momentum", make<SGD>(SGDOptions(0.1).momentum(0.9))},
      {"sgd_dampening", make<SGD>(SGDOptions(0.1).momentum(0.9).dampening(0.3))},
      {"sgd_nesterov", make<SGD>(SGDOptions(0.1).momentum(0.9).nesterov(true).weight_decay(0.01))},
      {"sgd_decay", make<SGD>(SGDOptions(0.1).weight_decay(0.05))},
      {"adam", make<Adam>(AdamOptions(0.01))},
      {"adam_decay", make<Adam>(AdamOptions(0.01).betas({0.8, 0.95}).eps(1e-6).weight_decay(0.1))},
      {"adam_amsgrad", make<Adam>(AdamOptions(0.02).amsgrad(true))},
      {"adamw", make<AdamW>(AdamWOptions(0.01))},
      {"adamw_amsgrad", make<AdamW>(AdamWOptions(0.02).amsgrad(true).weight_decay(0.2))},
      {"rmsprop", make<RMSprop>(RMSpropOptions())},
      {"rmsprop_momentum", make<RMSprop>(RMSpropOptions(0.02).alpha(0.9).momentum(0.8).weight_decay(0.05))},
      {"rmsprop_centered", make<RMSprop>(RMSpropOptions(0.02).centered(true).eps(1e-6))},
      {"rmsprop_all", make<RMSprop>(RMSpropOptions(0.02).alpha(0.95).eps(1e-5).weight_decay(0.1).momentum(0.5).centered(true))},
      {"adagrad", make<Adagrad>(AdagradOptions())},
      {"adagrad_decay",
       make<Adagrad>(AdagradOptions(0.1).lr_decay(0.1).weight_decay(0.05).initial_accumulator_value(0.3).eps(1e-8))},
      {"nadam", make<NAdam>(NAdamOptions())},
      {"nadam_decay", make<NAdam>(NAdamOptions(0.02).betas({0.8, 0.95}).eps(1e-6).weight_decay(0.1).momentum_decay(0.01))},
  };
  return all;
}

Tensor filled(int64_t n, ScalarType type, const std::function<double(int)>& value) {
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(value(i));
  return tensor(values, type);
}

std::vector<double> values_of(const Tensor& t) {
  const Tensor flat = t.detach().to(kDouble).contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

/// Parameters and gradients as the program that made optim.json had them.
struct Problem {
  explicit Problem(ScalarType type) : type(type) {
    p = filled(6, type, [](int i) { return std::cos(0.9 * i + 0.2); }).view({3, 2}).clone();
    q = filled(5, type, [](int i) { return std::sin(1.1 * i - 0.4); });
    p.requires_grad_();
    q.requires_grad_();
  }
  void set_gradients(int k) {
    p.mutable_grad() = filled(6, type, [k](int i) { return std::sin(0.7 * i + 1.3 * k); }).view({3, 2}).clone();
    q.mutable_grad() = filled(5, type, [k](int i) { return 0.01 * std::cos(0.5 * i * k + 0.3); });
  }
  std::vector<double> values() const {
    auto all = values_of(p);
    for (double v : values_of(q)) all.push_back(v);
    return all;
  }
  ScalarType type;
  Tensor p, q;
};

nlohmann::json expectations() {
  std::ifstream in(std::filesystem::path(SINTER_TEST_DATA) / "optim.json");
  REQUIRE(in);
  return nlohmann::json::parse(in);
}

}  // namespace

TEST_CASE("optimizers agree with PyTorch") {
  const auto want = expectations();
  size_t checked = 0;
  for (const ScalarType type : {kFloat, kDouble}) {
    for (const auto& [name, make_optimizer] : configurations()) {
      const std::string key = name + (type == kFloat ? "/float32" : "/float64");
      INFO(key);
      Problem problem(type);
      auto optimizer = make_optimizer({problem.p, problem.q});
      for (int k = 0; k < 10; ++k) {
        problem.set_gradients(k);
        optimizer->step();
      }
      const auto got = problem.values();
      REQUIRE(got.size() == want.at(key).size());
      for (size_t i = 0; i < got.size(); ++i)
        CHECK(got[i] ==
              Approx(want[key][i].get<double>()).margin(type == kFloat ? 1e-6 : 1e-13).epsilon(type == kFloat ? 1e-6 : 1e-13));
      ++checked;
    }
  }
  CHECK(checked == want.size());
}

TEST_CASE("groups have their own options, the others the defaults") {
  Problem a(kDouble), b(kDouble);
  SGD opt({OptimizerParamGroup({a.p}), OptimizerParamGroup({a.q}, std::make_unique<SGDOptions>(0.5))}, SGDOptions(0.1));
  CHECK(opt.size() == 2);
  CHECK(opt.param_groups()[0].options().get_lr() == 0.1);
  CHECK(opt.param_groups()[1].options().get_lr() == 0.5);
  a.set_gradients(1);
  b.set_gradients(1);
  opt.step();
  const auto p0 = values_of(b.p), gp = values_of(b.p.grad()), q0 = values_of(b.q), gq = values_of(b.q.grad());
  for (size_t i = 0; i < p0.size(); ++i) CHECK(values_of(a.p)[i] == Approx(p0[i] - 0.1 * gp[i]).epsilon(1e-14));
  for (size_t i = 0; i < q0.size(); ++i) CHECK(values_of(a.q)[i] == Approx(q0[i] - 0.5 * gq[i]).epsilon(1e-14));

  opt.param_groups()[0].options().set_lr(0.0);
  const auto before = values_of(a.p);
  opt.step();
  CHECK(values_of(a.p) == before);
}

TEST_CASE("parameters without a gradient are left alone") {
  Problem a(kFloat);
  const auto before = a.values();
  Adam opt({a.p, a.q}, AdamOptions(0.1).weight_decay(0.5));
  opt.step();
  CHECK(a.values() == before);
  CHECK(opt.state(a.p) == nullptr);
  a.q.mutable_grad() = ones_like(a.q);
  opt.step();
  CHECK(values_of(a.p) == std::vector<double>(before.begin(), before.begin() + 6));
  REQUIRE(opt.state(a.q) != nullptr);
  CHECK(opt.state(a.q)->step == 1);
  CHECK(opt.state(a.p) == nullptr);
}

TEST_CASE("a state follows its tensor when groups are edited") {
  Problem a(kDouble), b(kDouble);
  SGD edited({a.p, a.q}, SGDOptions(0.1).momentum(0.9)), plain({b.p, b.q}, SGDOptions(0.1).momentum(0.9));
  for (int k = 0; k < 4; ++k) {
    a.set_gradients(k);
    b.set_gradients(k);
    edited.step();
    plain.step();
    std::swap(edited.param_groups()[0].params()[0], edited.param_groups()[0].params()[1]);
  }
  CHECK(a.values() == b.values());
}

TEST_CASE("a compiled step of every optimizer is eager's, and recompiles nothing once its states are there") {
  for (const ScalarType type : {kFloat, kDouble})
    for (const auto& [name, make_optimizer] : configurations()) {
      INFO(name);
      Problem a(type), b(type);
      auto eager = make_optimizer({a.p, a.q}), compiled = make_optimizer({b.p, b.q});
      auto step = compile([&] { compiled->step(); });
      int64_t settled = 0;
      for (int k = 0; k < 8; ++k) {
        a.set_gradients(k), b.set_gradients(k);
        eager->step();
        step();
        CHECK(a.values() == b.values());
        if (k == 2) settled = step.stats().regions_compiled;
        compiled->param_groups()[0].options().set_lr(0.01 * k);
        eager->param_groups()[0].options().set_lr(0.01 * k);
      }
      CHECK(step.stats().regions_compiled == settled);
      CHECK(step.stats().eager_fallbacks == 0);
    }
}

TEST_CASE("every optimizer goes on from its state_dict as if nothing had happened") {
  for (const auto& [name, make_optimizer] : configurations()) {
    INFO(name);
    Problem a(kDouble), b(kDouble);
    auto through = make_optimizer({a.p, a.q});
    const auto steps = [](Problem& x, Optimizer& o, int from, int to) {
      for (int k = from; k < to; ++k) x.set_gradients(k), o.step();
    };
    steps(a, *through, 0, 4);
    const OptimizerStateDict saved = through->state_dict();
    {
      NoGradGuard no_grad;
      b.p.copy_(a.p), b.q.copy_(a.q);
    }
    steps(a, *through, 4, 9);  // the copy stays as it was
    auto resumed = make_optimizer({b.p, b.q});
    resumed->param_groups()[0].options().set_lr(77);
    resumed->load_state_dict(saved);
    CHECK(resumed->param_groups()[0].options().get_lr() == through->param_groups()[0].options().get_lr());
    steps(b, *resumed, 4, 9);
    CHECK(a.values() == b.values());
    CHECK(resumed->state_dict().state.size() == through->state_dict().state.size());
  }
}

TEST_CASE("a state_dict that does not fit is refused and changes nothing") {
  Problem a(kFloat), b(kFloat);
  Adam adam({a.p, a.q}, AdamOptions(0.1));
  a.set_gradients(0);
  adam.step();
  const OptimizerStateDict good = adam.state_dict();
  CHECK(std::get<int64_t>(good.state.at(0).at("step")) == 1);
  CHECK(std::get<Tensor>(good.state.at(1).at("exp_avg")).sizes() == a.q.sizes());

  const auto refuses = [&](Optimizer& o, const OptimizerStateDict& dict, const char* text) {
    const auto before = o.state_dict();
    CHECK_THROWS_WITH(o.load_state_dict(dict), Catch::Contains(text));
    const auto after = o.state_dict();
    CHECK(after.state.size() == before.state.size());
    for (size_t g = 0; g < after.param_groups.size(); ++g)
      CHECK(after.param_groups[g].options->get_lr() == before.param_groups[g].options->get_lr());
  };
  Adam two({OptimizerParamGroup({b.p}), OptimizerParamGroup({b.q})}, AdamOptions(0.2)), one({b.p}, AdamOptions(0.2)),
      swapped({b.q, b.p}, AdamOptions(0.2));
  refuses(two, good, "loaded state dict has a different number of parameter groups");
  refuses(one, good, "loaded state dict contains a parameter group that doesn't match the size of optimizer's group");
  refuses(swapped, good, "of parameter 0 has shape [3, 2], the parameter [5]");
  SGD sgd({b.p, b.q}, SGDOptions(0.2));
  refuses(sgd, good, "SGD needs SGDOptions in every parameter group");
  OptimizerStateDict other = good;
  other.state.at(0).emplace("momentum_buffer", ones({3, 2}));
  Adam fits({b.p, b.q}, AdamOptions(0.2));
  refuses(fits, other, "Adam: parameter 0 has a state of another optimizer");
  other = good;
  other.state.at(0).at("step") = 1.0;
  refuses(fits, other, "Adam: state \"step\" of parameter 0 has another type");
}

TEST_CASE("states are converted to the type of their parameters") {
  Problem a(kDouble), b(kFloat);
  SGD from({a.p, a.q}, SGDOptions(0.1).momentum(0.9)), to({b.p, b.q}, SGDOptions(0.1));
  a.set_gradients(0);
  from.step();
  to.load_state_dict(from.state_dict());
  CHECK(to.state(b.p)->momentum_buffer.dtype() == kFloat);
  CHECK(values_of(to.state(b.p)->momentum_buffer) == values_of(from.state(a.p)->momentum_buffer.to(kFloat)));
}

TEST_CASE("zero_grad zeroes in place or drops") {
  Problem a(kFloat);
  a.set_gradients(0);
  SGD opt({a.p, a.q}, 0.1);
  const Tensor held = a.p.grad();
  opt.zero_grad();
  CHECK(held.is_same(a.p.grad()));
  CHECK(values_of(held) == std::vector<double>(6, 0.0));
  opt.zero_grad(/*set_to_none=*/true);
  CHECK_FALSE(a.p.grad().defined());
}

TEST_CASE("a closure computes the loss with gradients on") {
  Tensor w = full({3}, 2.0, kDouble);
  w.requires_grad_();
  SGD opt({w}, 0.25);
  NoGradGuard no_grad;
  const Tensor loss = opt.step([&] {
    opt.zero_grad();
    Tensor l = (w * w).sum();
    l.backward();
    return l;
  });
  CHECK(loss.item<double>() == 12.0);
  CHECK(values_of(w) == std::vector<double>(3, 1.0));  // 2 - 0.25 * 4
  CHECK(w.requires_grad());
}

TEST_CASE("training by autograd reaches the minimum") {
  manual_seed(3);
  Tensor w = zeros({2}, TensorOptions(kDouble).requires_grad());
  const Tensor target = tensor({1.5, -0.5}, kDouble);
  Adam opt({w}, AdamOptions(0.05));
  for (int i = 0; i < 400; ++i) {
    opt.zero_grad();
    mse_loss(w, target).backward();
    opt.step();
  }
  CHECK(allclose(w, target, 1e-3, 1e-3));
}

TEST_CASE("wrong options and parameters are refused") {
  Problem a(kFloat);
  const Params p = {a.p};
  CHECK_THROWS_AS(SGD(p, SGDOptions(-0.1)), ValueError);
  CHECK_THROWS_AS(SGD(p, SGDOptions(0.1).momentum(-1)), ValueError);
  CHECK_THROWS_AS(SGD(p, SGDOptions(0.1).nesterov(true)), ValueError);
  CHECK_THROWS_AS(Adam(p, AdamOptions(0.1).betas({1.0, 0.9})), ValueError);
  CHECK_THROWS_WITH(Adam(p, AdamOptions(0.1).eps(-1)), "Invalid epsilon value: -1");
  CHECK_THROWS_AS(SGD(Params{a.p, a.p}, 0.1), ValueError);
  CHECK_THROWS_AS(SGD(Params{Tensor()}, 0.1), ValueError);
  CHECK_THROWS_AS(SGD(Params{a.p * 2}, 0.1), ValueError);
  SGD opt(p, 0.1);
  CHECK_THROWS_AS(opt.add_param_group(OptimizerParamGroup({a.p})), ValueError);
  CHECK_THROWS_AS(opt.add_param_group(OptimizerParamGroup({a.q}, std::make_unique<AdamOptions>(0.1))), ValueError);
  CHECK(opt.size() == 1);
}

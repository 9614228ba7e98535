// Schedules of learning rates against PyTorch 1.13 (tests/data/lr_scheduler.json), their states, errors, and that they recompile
// nothing.
#include <sinter/sinter.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

using namespace sinter;
using namespace sinter::optim;

namespace {

using Anneal = OneCycleLROptions::Anneal;
using Plateau = ReduceLROnPlateauOptions;

/// The schedulers of one row, stepped together.
struct Chain {
  std::vector<std::unique_ptr<LRScheduler>> by_epoch;
  std::unique_ptr<ReduceLROnPlateau> by_metric;
  void step(double metric) {
    for (auto& s : by_epoch) s->step();
    if (by_metric) by_metric->step(metric);
  }
};

template <class... S>
Chain chain(S*... s) {
  Chain c;
  (c.by_epoch.emplace_back(s), ...);
  return c;
}
Chain plateau(Optimizer& o, Plateau options) { return {{}, std::make_unique<ReduceLROnPlateau>(o, options)}; }

const std::vector<std::pair<std::string, std::function<Chain(Optimizer&)>>>& configurations() {
  static const std::vector<std::pair<std::string, std::function<Chain(Optimizer&)>>> all = {
      {"step", [](Optimizer& o) { return chain(new StepLR(o, 4, 0.5)); }},
      {"multistep",
       [](Optimizer& o) {
         return chain(new MultiStepLR(o, {2, 7, 7, 20}, 0.3));
       }},
      {"exponential", [](Optimizer& o) { return chain(new ExponentialLR(o, 0.9)); }},
      {"cosine", [](Optimizer& o) { return chain(new CosineAnnealingLR(o, 10)); }},
      {"cosine_min", [](Optimizer& o) { return chain(new CosineAnnealingLR(o, 7, 0.01)); }},
      {"linear", [](Optimizer& o) { return chain(new LinearLR(o)); }},
      {"linear_down", [](Optimizer& o) { return chain(new LinearLR(o, 1.0, 0.25, 12)); }},
      {"onecycle",
       [](Optimizer& o) {
         return chain(new OneCycleLR(o, {0.5, 30}));
       }},
      {"onecycle_linear",
       [](Optimizer& o) {
         return chain(new OneCycleLR(o, OneCycleLROptions(0.5, 30)
                                            .pct_start(0.4)
                                            .anneal_strategy(Anneal::linear)
                                            .base_momentum(0.7)
                                            .max_momentum(0.9)
                                            .div_factor(10)
                                            .final_div_factor(100)));
       }},
      {"onecycle_three_phase",
       [](Optimizer& o) {
         return chain(new OneCycleLR(o, OneCycleLROptions(0.5, 30).max_lrs(std::vector<double>{0.5, 0.2}).three_phase(true)));
       }},
      {"linear_then_cosine", [](Optimizer& o) { return chain(new LinearLR(o, 0.1, 1.0, 5), new CosineAnnealingLR(o, 6)); }},
      {"plateau", [](Optimizer& o) { return plateau(o, Plateau().patience(2)); }},
      {"plateau_max",
       [](Optimizer& o) {
         return plateau(o, Plateau()
                               .mode(Plateau::Mode::max)
                               .factor(0.5)
                               .patience(1)
                               .threshold(0.01)
                               .threshold_mode(Plateau::ThresholdMode::abs)
                               .cooldown(3)
                               .min_lr(0.004));
       }},
  };
  return all;
}

std::unique_ptr<Optimizer> make_optimizer(bool adam) {
  const Tensor p = zeros({1}).requires_grad_(), q = zeros({1}).requires_grad_();
  if (adam)
    return std::make_unique<Adam>(
        std::vector<OptimizerParamGroup>{OptimizerParamGroup({p}), OptimizerParamGroup({q}, std::make_unique<AdamOptions>(0.02))},
        AdamOptions(0.1));
  auto own = std::make_unique<SGDOptions>(0.02);
  own->momentum(0.5);
  return std::make_unique<SGD>(
      std::vector<OptimizerParamGroup>{OptimizerParamGroup({p}), OptimizerParamGroup({q}, std::move(own))},
      SGDOptions(0.1).momentum(0.5));
}

double metric(int epoch) { return epoch < 8 ? 1.0 / (1 + epoch) : 0.125 + 0.01 * std::sin(epoch); }

}  // namespace

TEST_CASE("schedules agree with PyTorch") {
  std::ifstream in(std::filesystem::path(SINTER_TEST_DATA) / "lr_scheduler.json");
  REQUIRE(in);
  const auto want = nlohmann::json::parse(in);
  size_t checked = 0;
  for (const bool adam : {false, true})
    for (const auto& [name, make] : configurations()) {
      const std::string key = name + (adam ? "/adam" : "/sgd");
      auto optimizer = make_optimizer(adam);
      Chain schedule = make(*optimizer);
      for (int epoch = 0; epoch < 30; ++epoch) {
        for (size_t g = 0; g < 2; ++g) {
          INFO(key << ", epoch " << epoch << ", group " << g);
          const OptimizerOptions& o = optimizer->param_groups()[g].options();
          CHECK(o.get_lr() == Approx(want.at(key)[static_cast<size_t>(epoch)][g][0].get<double>()).epsilon(1e-12).margin(1e-15));
          CHECK(*o.get_momentum() == Approx(want.at(key)[static_cast<size_t>(epoch)][g][1].get<double>()).epsilon(1e-12));
        }
        optimizer->step();
        schedule.step(metric(epoch));
      }
      ++checked;
    }
  CHECK(checked == want.size());
}

TEST_CASE("a schedule goes on from its state and the optimizer's") {
  for (const auto& [name, make] : configurations()) {
    INFO(name);
    auto a = make_optimizer(false), b = make_optimizer(false);
    Chain through = make(*a);
    for (int epoch = 0; epoch < 11; ++epoch) through.step(metric(epoch));
    Chain resumed = make(*b);
    for (size_t i = 0; i < through.by_epoch.size(); ++i) resumed.by_epoch[i]->load_state_dict(through.by_epoch[i]->state_dict());
    if (through.by_metric) resumed.by_metric->load_state_dict(through.by_metric->state_dict());
    b->load_state_dict(a->state_dict());
    for (int epoch = 11; epoch < 25; ++epoch) {
      through.step(metric(epoch));
      resumed.step(metric(epoch));
      for (size_t g = 0; g < 2; ++g) CHECK(a->param_groups()[g].options().get_lr() == b->param_groups()[g].options().get_lr());
    }
  }
}

TEST_CASE("a schedule inside or outside of a compiled step recompiles nothing") {
  const auto losses = [](bool compiled, bool inside) {
    manual_seed(3);
    nn::Linear net(4, 2);
    SGD sgd(net->parameters(), SGDOptions(0.1).momentum(0.9));
    OneCycleLR schedule(sgd, {0.2, 40});
    const auto f = [&](const Tensor& x) {
      sgd.zero_grad();
      const Tensor loss = net(x).square().mean();
      loss.backward();
      sgd.step();
      if (inside) schedule.step();
      return loss.detach();
    };
    auto g = compile(f);
    const Tensor x = randn({5, 4});
    std::vector<float> values;
    for (int i = 0; i < 20; ++i) {
      values.push_back((compiled ? g(x) : f(x)).item<float>());
      if (!inside) schedule.step();
    }
    if (compiled) CHECK(g.stats().regions_compiled <= 2);  // without and with a momentum buffer
    return values;
  };
  const auto eager = losses(false, true);
  CHECK(losses(true, true) == eager);
  CHECK(losses(true, false) == eager);
}

TEST_CASE("schedules refuse what makes no sense") {
  auto sgd = make_optimizer(false);
  CHECK_THROWS_AS(StepLR(*sgd, 0), ValueError);
  CHECK_THROWS_AS(CosineAnnealingLR(*sgd, 0), ValueError);
  CHECK_THROWS_WITH(LinearLR(*sgd, 1.5), "Starting multiplicative factor expected to be between 0 and 1.");
  CHECK_THROWS_WITH(LinearLR(*sgd, 0.5, -1), "Ending multiplicative factor expected to be between 0 and 1.");
  CHECK_THROWS_WITH(OneCycleLR(*sgd, {0.1, 0}), "Expected positive integer total_steps, but got 0");
  CHECK_THROWS_WITH(OneCycleLR(*sgd, OneCycleLROptions(0.1, 10).pct_start(1.5)),
                    "Expected float between 0 and 1 pct_start, but got 1.5");
  CHECK_THROWS_WITH(OneCycleLR(*sgd, OneCycleLROptions(0.1, 10).max_lrs(std::vector<double>{0.1})),
                    "expected 2 values for max_lr, got 1");
  CHECK_THROWS_WITH(ReduceLROnPlateau(*sgd, Plateau().factor(1)), "Factor should be < 1.0.");
  Adagrad adagrad({zeros({1}).requires_grad_()});
  CHECK_THROWS_WITH(OneCycleLR(adagrad, {0.1, 10}), "optimizer must support momentum with `cycle_momentum` option enabled");
  OneCycleLR plain(adagrad, OneCycleLROptions(0.1, 3).cycle_momentum(false));
  for (int i = 0; i < 3; ++i) plain.step();
  const double last = adagrad.param_groups()[0].options().get_lr();
  CHECK_THROWS_WITH(plain.step(), "Tried to step 5 times. The specified number of total steps is 3");
  CHECK(adagrad.param_groups()[0].options().get_lr() == last);
  CHECK(plain.last_epoch() == 3);
  CHECK_THROWS_AS(plain.load_state_dict({5, {0.1, 0.2}}), ValueError);
}

// Whole trainings with all that belongs to one, eager and in both compiled forms: the same bits after every step.
#include "training_world.h"

using namespace sinter;
using namespace sinter::test;

namespace {

struct NetImpl : nn::Module {
  NetImpl() {
    table = register_module("table", nn::Embedding(10, 6));
    norm = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({6})));
    first = register_module("first", nn::Linear(6, 8));
    drop = register_module("drop", nn::Dropout(0.2));
    second = register_module("second", nn::Linear(8, 3));
    calls = register_buffer("calls", zeros({}));
  }
  Tensor forward(const Tensor& x) {
    {
      const NoGradGuard no_grad;
      calls.add_(1);
    }
    return second(drop(gelu(first(norm(table(x).mean(IntArrayRef{1}))))));
  }
  nn::Embedding table{nullptr};
  nn::LayerNorm norm{nullptr};
  nn::Linear first{nullptr}, second{nullptr};
  nn::Dropout drop{nullptr};
  Tensor calls;
};
SINTER_MODULE(Net);

using Training = World<Net>;

template <class Optimizer, class Options>
Training::MakeOptimizer with(const Options& options) {
  return [options](const std::vector<Tensor>& p) {
    // Two groups, with rates of their own.
    const std::vector<Tensor> table(p.begin(), p.begin() + 1), others(p.begin() + 1, p.end());
    auto opt = std::make_unique<Optimizer>(
        std::vector<optim::OptimizerParamGroup>{optim::OptimizerParamGroup(table), optim::OptimizerParamGroup(others)}, options);
    opt->param_groups()[0].options().set_lr(0.02);
    return opt;
  };
}

/// Each optimizer in the form with the most operators.
std::vector<std::pair<const char*, Training::MakeOptimizer>> optimizers() {
  return {
      {"SGD", with<optim::SGD>(optim::SGDOptions(0.05).momentum(0.9).nesterov(true).weight_decay(0.01))},
      {"Adam", with<optim::Adam>(optim::AdamOptions(0.01).amsgrad(true).weight_decay(0.01))},
      {"AdamW", with<optim::AdamW>(optim::AdamWOptions(0.01))},
      {"RMSprop", with<optim::RMSprop>(optim::RMSpropOptions(0.01).momentum(0.5).centered(true))},
      {"Adagrad", with<optim::Adagrad>(optim::AdagradOptions(0.05).lr_decay(0.1))},
      {"NAdam", with<optim::NAdam>(optim::NAdamOptions(0.01))},
  };
}

/// Sixteen steps in the three ways; the sizes of batches are those of `sizes`, in turn.
void check(const Training::Rest& rest, const Training::MakeOptimizer& make_optimizer, const std::vector<int64_t>& sizes = {5},
           const std::function<void(Training&, int)>& between = nullptr) {
  Training eager(Way::kEager, rest, make_optimizer), inside(Way::kInside, rest, make_optimizer),
      outside(Way::kOutside, rest, make_optimizer);
  const auto before = eager.state();
  for (int i = 0; i < 16; ++i) {
    INFO("step " << i);
    manual_seed(i);
    const Tensor x = randint(0, 10, {sizes[static_cast<size_t>(i) % sizes.size()], 4}, kLong);
    for (Training* w : {&eager, &inside, &outside})
      if (between) between(*w, i);
    REQUIRE(eager.step(i, x).empty());
    const auto state = eager.state();
    REQUIRE(state != before);
    REQUIRE(inside.step(i, x).empty());
    REQUIRE(inside.state() == state);
    REQUIRE(outside.step(i, x).empty());
    REQUIRE(outside.state() == state);
  }
}

}  // namespace

TEST_CASE("every optimizer, clipped") {
  for (const auto& [name, make_optimizer] : optimizers()) {
    INFO(name);
    check(
        [](Training& w, const Tensor& y, int i) {
          w.opt->zero_grad(/*set_to_none=*/i % 2 == 0);
          class_loss(y).backward();
          if (i % 4 < 2) nn::utils::clip_grad_norm_(w.net->parameters(), 0.1);
          else nn::utils::clip_grad_value_(w.net->parameters(), 0.01);
          w.opt->step();
        },
        make_optimizer);
  }
}

TEST_CASE("gradients accumulated over batches of other sizes, losses scaled") {
  for (const auto& [name, make_optimizer] : optimizers()) {
    INFO(name);
    check(
        [](Training& w, const Tensor& y, int i) {
          (class_loss(y) * (64.0 / 3)).backward();
          if (i % 3 != 2) return;
          {
            const NoGradGuard no_grad;
            for (const Tensor& p : w.net->parameters()) p.grad().div_(64.0);
          }
          w.opt->step();
          w.opt->zero_grad();
        },
        make_optimizer, {5, 5, 3, 7});
  }
}

TEST_CASE("a moving average of the parameters, and penalties on them") {
  check(
      [](Training& w, const Tensor& y, int) {
        w.opt->zero_grad();
        Tensor loss = class_loss(y);
        for (const Tensor& p : w.net->parameters()) loss = loss + p.square().sum() * 1e-3 + p.abs().sum() * 1e-4;
        loss.backward();
        w.opt->step();
        const NoGradGuard no_grad;
        for (auto& item : w.net->named_parameters()) {
          std::string name = "average " + item.key();
          std::replace(name.begin(), name.end(), '.', ' ');
          if (!w.net->named_buffers().contains(name)) w.net->register_buffer(name, item.value().detach().clone());
          else w.net->named_buffers()[name].mul_(0.9).add_(item.value(), 0.1);
        }
      },
      with<optim::AdamW>(optim::AdamWOptions(0.01)));
}

TEST_CASE("schedules, warm-up, modes, frozen parts, states that are loaded again") {
  const auto rest = [](Training& w, const Tensor& y, int) {
    w.opt->zero_grad();
    class_loss(y).backward();
    w.opt->step();
  };
  for (const auto& [name, make_optimizer] : optimizers()) {
    INFO(name);
    std::map<Training*, optim::OptimizerStateDict> saved;
    check(rest, make_optimizer, {5}, [&](Training& w, int i) {
      for (auto& group : w.opt->param_groups()) group.options().set_lr(0.01 * std::min(1.0, (i + 1) / 6.0));
      w.net->train(i % 5 != 3);
      w.net->first->weight.set_requires_grad(i < 4 || i > 6);
      if (i == 6) saved[&w] = w.opt->state_dict();
      if (i == 11) w.opt->load_state_dict(saved.at(&w));
      if (i == 13) w.net->to(kDouble);
    });
  }
}

TEST_CASE("two passes in a step: a loss, and a second one on the changed parameters") {
  check(
      [](Training& w, const Tensor& y, int) {
        w.opt->zero_grad();
        class_loss(y).backward();
        // Sharpness-aware: up along the gradient, once more from there, back, then the step.
        std::vector<Tensor> up;
        {
          const NoGradGuard no_grad;
          for (const Tensor& p : w.net->parameters()) up.push_back(p.grad() * 0.05), p.add_(up.back());
        }
        w.opt->zero_grad();
        class_loss(w.net->forward(arange(20, kLong).view({5, 4}) % 10)).backward();
        {
          const NoGradGuard no_grad;
          size_t k = 0;
          for (const Tensor& p : w.net->parameters()) p.sub_(up[k++]);
        }
        w.opt->step();
      },
      with<optim::SGD>(optim::SGDOptions(0.05).momentum(0.9)));
}

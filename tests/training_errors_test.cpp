// Training gone wrong: eager's error types and texts (PyTorch's where it has one), the same with the whole step compiled and with
// the forward compiled in an eager loop; after an error all three have the same state, and go on with the same bits.
#include <optional>
#include "engine/autograd/autograd.h"
#include "training_world.h"

using namespace sinter;
using namespace sinter::test;

namespace {

struct NetImpl : nn::Module {
  NetImpl() {
    first = register_module("first", nn::Linear(6, 5));
    second = register_module("second", nn::Linear(5, 3));
  }
  Tensor forward(const Tensor& x) {
    const Tensor y = second(hidden = first(x).tanh());
    if (spoil) hidden.mul_(2);
    return y;
  }
  nn::Linear first{nullptr}, second{nullptr};
  Tensor hidden;  // saved by tanh and by the second layer
  bool spoil = false;
};
SINTER_MODULE(Net);

using Training = World<Net>;

const Tensor& weight(Training& w) { return w.net->second->weight; }

/// A step without faults.
void train(Training& w, const Tensor& outputs) {
  w.opt->zero_grad();
  class_loss(outputs).backward();
  w.opt->step();
}

/// Steps in which something is wrong: the first one, some after replays, two in a row.
bool is_bad(int i) { return i == 0 || i == 4 || i == 7 || i == 8; }

/// Twelve steps in the three ways; bad ones throw an E whose text has `text` (without text: throw nothing).
template <class E = Error>
void check(const std::optional<std::string>& text, const Training::Rest& rest, bool spoil_forward = false) {
  const auto sgd = [](const std::vector<Tensor>& parameters) {
    return std::make_unique<optim::SGD>(parameters, optim::SGDOptions(0.1).momentum(0.9));
  };
  Training eager(Way::kEager, rest, sgd), inside(Way::kInside, rest, sgd), outside(Way::kOutside, rest, sgd);
  for (int i = 0; i < 12; ++i) {
    INFO("step " << i);
    for (Training* w : {&eager, &inside, &outside}) w->net->spoil = spoil_forward && is_bad(i);
    manual_seed(i);
    const Tensor x = randn({4, 6});
    const std::string error = eager.step(i, x);
    const auto state = eager.state();
    if (text && is_bad(i)) {
      REQUIRE_THAT(error, Catch::StartsWith(typeid(E).name()));
      REQUIRE_THAT(error, Catch::Contains(*text));
    } else {
      REQUIRE(error.empty());
    }
    for (Training* w : {&inside, &outside}) {
      INFO((w == &inside ? "backward inside" : "backward outside"));
      REQUIRE(w->step(i, x) == error);
      REQUIRE(w->state() == state);
    }
  }
}

}  // namespace

TEST_CASE("backward twice without retain_graph") {
  check<AutogradError>("Trying to backward through the graph a second time", [](Training& w, const Tensor& y, int i) {
    w.opt->zero_grad();
    const Tensor loss = class_loss(y);
    loss.backward();
    if (is_bad(i)) loss.backward();
    w.opt->step();
  });
}

TEST_CASE("backward of a tensor that is no scalar") {
  check<AutogradError>("grad can be implicitly created only for scalar outputs", [](Training& w, const Tensor& y, int i) {
    if (is_bad(i)) y.backward();
    train(w, y);
  });
}

TEST_CASE("a gradient of another shape given to backward") {
  check<ShapeError>("Mismatch in shape: grad_output[0] has a shape of [3, 4] and output[0] has a shape of [4, 3].",
                    [](Training& w, const Tensor& y, int i) {
                      if (is_bad(i)) y.backward(ones({3, 4}));
                      train(w, y);
                    });
}

TEST_CASE("an in-place write on a saved tensor") {
  check<AutogradError>("one of the variables needed for gradient computation has been modified by an inplace operation",
                       [](Training& w, const Tensor& y, int i) {
                         if (is_bad(i)) w.net->hidden.mul_(2);
                         train(w, y);
                       });
}

TEST_CASE("an in-place write on a saved tensor inside the forward") {
  check<AutogradError>(
      "one of the variables needed for gradient computation has been modified by an inplace operation",
      [](Training& w, const Tensor& y, int) { train(w, y); }, /*spoil_forward=*/true);
}

TEST_CASE("an in-place write on a parameter that was used") {
  check<AutogradError>("one of the variables needed for gradient computation has been modified by an inplace operation",
                       [](Training& w, const Tensor& y, int i) {
                         if (is_bad(i)) {
                           const NoGradGuard no_grad;
                           weight(w).mul_(0.5);
                         }
                         train(w, y);
                       });
  check<AutogradError>("a leaf Variable that requires grad is being used in an in-place operation.",
                       [](Training& w, const Tensor& y, int i) {
                         if (is_bad(i)) weight(w).mul_(0.5);
                         train(w, y);
                       });
}

TEST_CASE("a step over parameters without gradients leaves those alone") {
  check(std::nullopt, [](Training& w, const Tensor& y, int i) {
    w.opt->zero_grad(/*set_to_none=*/true);
    if (is_bad(i)) return (void)w.opt->step();  // none has one
    class_loss(y).backward();
    if (i % 3 == 0) weight(w).mutable_grad().reset();
    w.opt->step();
  });
}

TEST_CASE("a loss that does not require grad") {
  check<AutogradError>("element 0 of tensors does not require grad and does not have a grad_fn",
                       [](Training& w, const Tensor& y, int i) {
                         w.opt->zero_grad();
                         class_loss(is_bad(i) ? y.detach() : y).backward();
                         w.opt->step();
                       });
  check<AutogradError>("element 0 of tensors does not require grad and does not have a grad_fn",
                       [](Training& w, const Tensor& y, int i) {
                         w.opt->zero_grad();
                         const AutoGradMode grad_mode(!is_bad(i));
                         class_loss(y).backward();
                         w.opt->step();
                       });
}

TEST_CASE("gradients that are not finite") {
  const auto clip = [](Training& w, const Tensor& y, int i, bool error) {
    w.opt->zero_grad();
    (is_bad(i) ? class_loss(y) * std::numeric_limits<double>::quiet_NaN() : class_loss(y)).backward();
    nn::utils::clip_grad_norm_(w.net->parameters(), 0.5, 2, error);
    if (error || !is_bad(i)) w.opt->step();
  };
  check<ValueError>("The total norm of order 2 for gradients from `parameters` is non-finite, so it cannot be clipped.",
                    [&](Training& w, const Tensor& y, int i) { clip(w, y, i, true); });
  check(std::nullopt, [&](Training& w, const Tensor& y, int i) { clip(w, y, i, false); });
}

TEST_CASE("a gradient of another shape set by hand, then added to by backward") {
  check<ShapeError>("The size of tensor a (7) must match the size of tensor b (5) at non-singleton dimension 1",
                    [](Training& w, const Tensor& y, int i) {
                      w.opt->zero_grad(/*set_to_none=*/true);
                      if (is_bad(i)) weight(w).mutable_grad() = ones({7});
                      class_loss(y).backward();
                      w.opt->step();
                    });
}

TEST_CASE("a gradient of another shape set by hand, then used by the optimizer: no parameter is updated") {
  for (const auto& sizes : {std::vector<int64_t>{7}, {3, 1}, {}, {2, 3, 5}}) {
    INFO(to_string(sizes));
    check<ShapeError>("step: the gradient of parameter 2 has shape " + to_string(sizes) + ", the parameter [3, 5]",
                      [&](Training& w, const Tensor& y, int i) {
                        w.opt->zero_grad(/*set_to_none=*/true);
                        class_loss(y).backward();
                        if (is_bad(i)) weight(w).mutable_grad() = ones(sizes);
                        const std::string before = bits(w.net->first->weight);
                        try {
                          w.opt->step();
                        } catch (const ShapeError&) {
                          REQUIRE(bits(w.net->first->weight) == before);
                          throw;
                        }
                      });
  }
}

TEST_CASE("requires_grad_ of an integer tensor") {
  check<AutogradError>("only Tensors of floating point dtype can require gradients", [](Training& w, const Tensor& y, int i) {
    const Tensor classes = arange(y.size(0), kLong) % 3;
    if (is_bad(i)) classes.requires_grad_();
    train(w, y);
  });
}

TEST_CASE("requires_grad_(false) of a computed tensor, a hook of one without gradients, a gradient of something not used") {
  check<AutogradError>("you can only change requires_grad flags of leaf variables.", [](Training& w, const Tensor& y, int i) {
    if (is_bad(i)) y.requires_grad_(false);
    train(w, y);
  });
  check<AutogradError>("cannot register a hook on a tensor that doesn't require gradient",
                       [](Training& w, const Tensor& y, int i) {
                         if (is_bad(i)) y.detach().register_hook([](const Tensor& g) { return g; });
                         train(w, y);
                       });
  check<AutogradError>("One of the differentiated Tensors appears to not have been used in the graph.",
                       [](Training& w, const Tensor& y, int i) {
                         const Tensor other = ones({2}).requires_grad_();
                         if (is_bad(i)) autograd::grad({class_loss(y)}, {weight(w), other});
                         train(w, y);
                       });
}

TEST_CASE("a hook that throws in the middle of backward") {
  struct FromAHook : std::runtime_error {
    using runtime_error::runtime_error;
  };
  for (const bool reads : {false, true}) {
    INFO((reads ? "reads the gradient first" : "reads nothing"));
    check<FromAHook>("stop", [&](Training& w, const Tensor& y, int i) {
      const Tensor hidden = w.net->hidden;
      const unsigned id = hidden.register_hook([&](const Tensor& g) {
        if (reads) REQUIRE(g.abs().sum().item<float>() > 0);
        if (is_bad(i)) throw FromAHook("stop");
        return g * 2;
      });
      train(w, y);
      hidden.remove_hook(id);
    });
    check<FromAHook>("stop", [&](Training& w, const Tensor& y, int i) {
      const Tensor bias = w.net->first->bias;
      const unsigned id = bias.register_hook([&](const Tensor& g) {
        if (reads) REQUIRE(g.abs().sum().item<float>() > 0);
        if (is_bad(i)) throw FromAHook("stop");
        return g * 2;
      });
      struct Remove {
        const Tensor& t;
        unsigned id;
        ~Remove() { t.remove_hook(id); }
      } remove{bias, id};
      train(w, y);
    });
  }
}

TEST_CASE("a state_dict of another optimizer, of other groups or sizes") {
  const auto with = [](const std::function<optim::OptimizerStateDict(Training&)>& other) {
    return [other](Training& w, const Tensor& y, int i) {
      train(w, y);
      if (is_bad(i)) w.opt->load_state_dict(other(w));
    };
  };
  /// The state of an optimizer that made a step.
  const auto state_of = [](optim::Optimizer&& opt) {
    for (auto& group : opt.param_groups())
      for (const Tensor& p : group.params()) p.mutable_grad() = ones_like(p);
    opt.step();
    return opt.state_dict();
  };
  const auto parameters = [] { return Net()->parameters(); };
  const auto sgd = optim::SGDOptions(0.1).momentum(0.9);
  check<ValueError>(
      "loaded state dict has a different number of parameter groups", with([&](Training&) {
        const auto p = parameters();
        return state_of(optim::SGD(std::vector<optim::OptimizerParamGroup>{optim::OptimizerParamGroup({p[0], p[1]}),
                                                                           optim::OptimizerParamGroup({p[2], p[3]})},
                                   sgd));
      }));
  check<ValueError>("loaded state dict contains a parameter group that doesn't match the size of optimizer's group",
                    with([&](Training&) {
                      const auto p = parameters();
                      return state_of(optim::SGD({p[0], p[1]}, sgd));
                    }));
  check<ShapeError>("momentum_buffer", with([&](Training&) {
                      return state_of(optim::SGD({ones({2, 2}), ones({5}), ones({3, 5}), ones({3})}, sgd));
                    }));
  check<ValueError>("SGD needs SGDOptions",
                    with([&](Training&) { return state_of(optim::Adam(parameters(), optim::AdamOptions(0.1))); }));
}

TEST_CASE("an optimizer whose module is gone keeps the parameters") {
  for (const Way way : {Way::kEager, Way::kInside, Way::kOutside}) {
    INFO("way " << static_cast<int>(way));
    manual_seed(1);
    auto net = std::make_unique<Net>();
    optim::Adam opt((*net)->parameters(), optim::AdamOptions(0.1));
    const std::vector<Tensor> before = [&] {
      std::vector<Tensor> copies;
      for (const Tensor& p : opt.param_groups()[0].params()) copies.push_back(p.detach().clone());
      return copies;
    }();
    auto step = compile([&] { opt.step(); });
    const auto update = [&] { way == Way::kEager ? (void)opt.step() : step(); };
    Tensor loss;
    if (way == Way::kOutside) {
      auto forward = compile(*net);
      loss = class_loss(forward(ones({4, 6})));
    } else {
      loss = class_loss((*net)(ones({4, 6})));
    }
    std::weak_ptr<NetImpl> gone = net->ptr();
    net.reset();
    REQUIRE(gone.expired());
    for (int i = 0; i < 3; ++i) {
      if (i == 0) loss.backward();
      update();
    }
    std::vector<std::string> all;
    for (size_t i = 0; i < before.size(); ++i) {
      all.push_back(bits(opt.param_groups()[0].params()[i]));
      REQUIRE(all.back() != bits(before[i]));
    }
    static std::vector<std::string> eager;
    if (way == Way::kEager) eager = all;
    REQUIRE(all == eager);
  }
}

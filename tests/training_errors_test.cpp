// Training gone wrong: eager's error types and texts (PyTorch's where it has one), the same with the whole step compiled and with
// the forward compiled in an eager loop; after an error all three have the same state, and go on with the same bits.
#include <functional>
#include <memory>
#include <optional>
#include <typeinfo>
#include "engine/autograd/autograd.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

enum class Way { kEager, kInside, kOutside };

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

/// What happens in step `i` with the outputs of the net: loss, backward, update.
struct World;
using Rest = std::function<void(World&, const Tensor& outputs, int i)>;

/// A net in training, one of three that must stay the same.
struct World {
  World(Way way, const Rest& rest) : way(way) {
    manual_seed(7);
    net = Net();
    opt = std::make_unique<optim::SGD>(net->parameters(), optim::SGDOptions(0.1).momentum(0.9));
    run = [this, &rest](const Tensor& x) { rest(*this, net->forward(x), i); };
    if (way == Way::kInside) run = compile(run);
    if (way == Way::kOutside)
      run = [this, &rest, forward = compile(net)](const Tensor& x) mutable { rest(*this, forward(x), i); };
  }
  World(const World&) = delete;

  /// Type and text of what was thrown, empty when nothing was.
  std::string step(int number) {
    manual_seed(number);
    i = number;
    const Tensor x = randn({4, 6});
    try {
      run(x);
    } catch (const std::exception& e) { return std::string(typeid(e).name()) + ": " + e.what(); }
    return {};
  }

  /// Parameters, gradients, versions, what the optimizer remembers, the generator.
  std::vector<std::string> state() {
    std::vector<std::string> all;
    for (const Tensor& p : net->parameters()) {
      all.push_back(bits(p) + " version " + std::to_string(p._version()));
      all.push_back(p.grad().defined() ? bits(p.grad()) : "no gradient");
    }
    for (const auto& [number, fields] : opt->state_dict().state)
      for (const auto& [name, value] : fields)
        if (const Tensor* t = std::get_if<Tensor>(&value)) all.push_back(std::to_string(number) + name + bits(*t));
    all.push_back(std::to_string(Generator::get_default().counter()));
    return all;
  }

  /// A step without faults.
  void train(const Tensor& outputs) {
    opt->zero_grad();
    loss_of(outputs).backward();
    opt->step();
  }
  static Tensor loss_of(const Tensor& outputs) {
    return nn::functional::cross_entropy(outputs, arange(outputs.size(0), kLong) % 3);
  }
  const Tensor& weight() const { return net->second->weight; }

  Way way;
  Net net{nullptr};
  std::unique_ptr<optim::Optimizer> opt;
  std::function<void(const Tensor&)> run;
  int i = 0;
};

/// Steps in which something is wrong: the first one, some after replays, two in a row.
bool is_bad(int i) { return i == 0 || i == 4 || i == 7 || i == 8; }

/// Twelve steps in the three ways; bad ones throw an E whose text has `text` (without text: throw nothing).
template <class E = Error>
void check(const std::optional<std::string>& text, const Rest& rest, bool spoil_forward = false) {
  World eager(Way::kEager, rest), inside(Way::kInside, rest), outside(Way::kOutside, rest);
  for (int i = 0; i < 12; ++i) {
    INFO("step " << i);
    for (World* w : {&eager, &inside, &outside}) w->net->spoil = spoil_forward && is_bad(i);
    const std::string error = eager.step(i);
    const auto state = eager.state();
    if (text && is_bad(i)) {
      REQUIRE_THAT(error, Catch::StartsWith(typeid(E).name()));
      REQUIRE_THAT(error, Catch::Contains(*text));
    } else {
      REQUIRE(error.empty());
    }
    for (World* w : {&inside, &outside}) {
      INFO((w == &inside ? "backward inside" : "backward outside"));
      REQUIRE(w->step(i) == error);
      REQUIRE(w->state() == state);
    }
  }
}

}  // namespace

TEST_CASE("backward twice without retain_graph") {
  check<AutogradError>("Trying to backward through the graph a second time", [](World& w, const Tensor& y, int i) {
    w.opt->zero_grad();
    const Tensor loss = World::loss_of(y);
    loss.backward();
    if (is_bad(i)) loss.backward();
    w.opt->step();
  });
}

TEST_CASE("backward of a tensor that is no scalar") {
  check<AutogradError>("grad can be implicitly created only for scalar outputs", [](World& w, const Tensor& y, int i) {
    if (is_bad(i)) y.backward();
    w.train(y);
  });
}

TEST_CASE("a gradient of another shape given to backward") {
  check<ShapeError>("Mismatch in shape: grad_output[0] has a shape of [3, 4] and output[0] has a shape of [4, 3].",
                    [](World& w, const Tensor& y, int i) {
                      if (is_bad(i)) y.backward(ones({3, 4}));
                      w.train(y);
                    });
}

TEST_CASE("an in-place write on a saved tensor") {
  check<AutogradError>("one of the variables needed for gradient computation has been modified by an inplace operation",
                       [](World& w, const Tensor& y, int i) {
                         if (is_bad(i)) w.net->hidden.mul_(2);
                         w.train(y);
                       });
}

TEST_CASE("an in-place write on a saved tensor inside the forward") {
  check<AutogradError>(
      "one of the variables needed for gradient computation has been modified by an inplace operation",
      [](World& w, const Tensor& y, int) { w.train(y); }, /*spoil_forward=*/true);
}

TEST_CASE("an in-place write on a parameter that was used") {
  check<AutogradError>("one of the variables needed for gradient computation has been modified by an inplace operation",
                       [](World& w, const Tensor& y, int i) {
                         if (is_bad(i)) {
                           const NoGradGuard no_grad;
                           w.weight().mul_(0.5);
                         }
                         w.train(y);
                       });
  check<AutogradError>("a leaf Variable that requires grad is being used in an in-place operation.",
                       [](World& w, const Tensor& y, int i) {
                         if (is_bad(i)) w.weight().mul_(0.5);
                         w.train(y);
                       });
}

TEST_CASE("a step over parameters without gradients leaves those alone") {
  check(std::nullopt, [](World& w, const Tensor& y, int i) {
    w.opt->zero_grad(/*set_to_none=*/true);
    if (is_bad(i)) return (void)w.opt->step();  // none has one
    World::loss_of(y).backward();
    if (i % 3 == 0) w.weight().mutable_grad().reset();
    w.opt->step();
  });
}

TEST_CASE("a loss that does not require grad") {
  check<AutogradError>("element 0 of tensors does not require grad and does not have a grad_fn",
                       [](World& w, const Tensor& y, int i) {
                         w.opt->zero_grad();
                         World::loss_of(is_bad(i) ? y.detach() : y).backward();
                         w.opt->step();
                       });
  check<AutogradError>("element 0 of tensors does not require grad and does not have a grad_fn",
                       [](World& w, const Tensor& y, int i) {
                         w.opt->zero_grad();
                         const AutoGradMode grad_mode(!is_bad(i));
                         World::loss_of(y).backward();
                         w.opt->step();
                       });
}

TEST_CASE("gradients that are not finite") {
  const auto clip = [](World& w, const Tensor& y, int i, bool error) {
    w.opt->zero_grad();
    (is_bad(i) ? World::loss_of(y) * std::numeric_limits<double>::quiet_NaN() : World::loss_of(y)).backward();
    nn::utils::clip_grad_norm_(w.net->parameters(), 0.5, 2, error);
    if (error || !is_bad(i)) w.opt->step();
  };
  check<ValueError>("The total norm of order 2 for gradients from `parameters` is non-finite, so it cannot be clipped.",
                    [&](World& w, const Tensor& y, int i) { clip(w, y, i, true); });
  check(std::nullopt, [&](World& w, const Tensor& y, int i) { clip(w, y, i, false); });
}

TEST_CASE("a gradient of another shape set by hand, then added to by backward") {
  check<ShapeError>("The size of tensor a (7) must match the size of tensor b (5) at non-singleton dimension 1",
                    [](World& w, const Tensor& y, int i) {
                      w.opt->zero_grad(/*set_to_none=*/true);
                      if (is_bad(i)) w.weight().mutable_grad() = ones({7});
                      World::loss_of(y).backward();
                      w.opt->step();
                    });
}

TEST_CASE("a gradient of another shape set by hand, then used by the optimizer: no parameter is updated") {
  for (const auto& sizes : {std::vector<int64_t>{7}, {3, 1}, {}, {2, 3, 5}}) {
    INFO(to_string(sizes));
    check<ShapeError>("step: the gradient of parameter 2 has shape " + to_string(sizes) + ", the parameter [3, 5]",
                      [&](World& w, const Tensor& y, int i) {
                        w.opt->zero_grad(/*set_to_none=*/true);
                        World::loss_of(y).backward();
                        if (is_bad(i)) w.weight().mutable_grad() = ones(sizes);
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
  check<AutogradError>("only Tensors of floating point dtype can require gradients", [](World& w, const Tensor& y, int i) {
    const Tensor classes = arange(y.size(0), kLong) % 3;
    if (is_bad(i)) classes.requires_grad_();
    w.train(y);
  });
}

TEST_CASE("requires_grad_(false) of a computed tensor, a hook of one without gradients, a gradient of something not used") {
  check<AutogradError>("you can only change requires_grad flags of leaf variables.", [](World& w, const Tensor& y, int i) {
    if (is_bad(i)) y.requires_grad_(false);
    w.train(y);
  });
  check<AutogradError>("cannot register a hook on a tensor that doesn't require gradient", [](World& w, const Tensor& y, int i) {
    if (is_bad(i)) y.detach().register_hook([](const Tensor& g) { return g; });
    w.train(y);
  });
  check<AutogradError>("One of the differentiated Tensors appears to not have been used in the graph.",
                       [](World& w, const Tensor& y, int i) {
                         const Tensor other = ones({2}).requires_grad_();
                         if (is_bad(i)) autograd::grad({World::loss_of(y)}, {w.weight(), other});
                         w.train(y);
                       });
}

TEST_CASE("a hook that throws in the middle of backward") {
  struct FromAHook : std::runtime_error {
    using runtime_error::runtime_error;
  };
  for (const bool reads : {false, true}) {
    INFO((reads ? "reads the gradient first" : "reads nothing"));
    check<FromAHook>("stop", [&](World& w, const Tensor& y, int i) {
      const Tensor hidden = w.net->hidden;
      const unsigned id = hidden.register_hook([&](const Tensor& g) {
        if (reads) REQUIRE(g.abs().sum().item<float>() > 0);
        if (is_bad(i)) throw FromAHook("stop");
        return g * 2;
      });
      w.train(y);
      hidden.remove_hook(id);
    });
    check<FromAHook>("stop", [&](World& w, const Tensor& y, int i) {
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
      w.train(y);
    });
  }
}

TEST_CASE("a state_dict of another optimizer, of other groups or sizes") {
  const auto with = [](const std::function<optim::OptimizerStateDict(World&)>& other) {
    return [other](World& w, const Tensor& y, int i) {
      w.train(y);
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
      "loaded state dict has a different number of parameter groups", with([&](World&) {
        const auto p = parameters();
        return state_of(optim::SGD(std::vector<optim::OptimizerParamGroup>{optim::OptimizerParamGroup({p[0], p[1]}),
                                                                           optim::OptimizerParamGroup({p[2], p[3]})},
                                   sgd));
      }));
  check<ValueError>("loaded state dict contains a parameter group that doesn't match the size of optimizer's group",
                    with([&](World&) {
                      const auto p = parameters();
                      return state_of(optim::SGD({p[0], p[1]}, sgd));
                    }));
  check<ShapeError>("momentum_buffer", with([&](World&) {
                      return state_of(optim::SGD({ones({2, 2}), ones({5}), ones({3, 5}), ones({3})}, sgd));
                    }));
  check<ValueError>("SGD needs SGDOptions",
                    with([&](World&) { return state_of(optim::Adam(parameters(), optim::AdamOptions(0.1))); }));
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
      loss = World::loss_of(forward(ones({4, 6})));
    } else {
      loss = World::loss_of((*net)(ones({4, 6})));
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

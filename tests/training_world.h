// A net in training, in one of the ways that must give the same bits: eager; with the whole step compiled; with the forward
// compiled in an eager loop.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <typeinfo>
#include <vector>
#include "support.h"

namespace sinter::test {

enum class Way { kEager, kInside, kOutside };  // where backward and update are: of the compiled call

/// Net: a module holder whose module maps a batch `x` to outputs.
template <class Net>
struct World {
  /// What step `i` does with the outputs: loss, backward, update.
  using Rest = std::function<void(World&, const Tensor& outputs, int i)>;
  using MakeOptimizer = std::function<std::unique_ptr<optim::Optimizer>(const std::vector<Tensor>&)>;

  World(Way way, const Rest& rest, const MakeOptimizer& make_optimizer) {
    manual_seed(7);
    net = Net();
    opt = make_optimizer(net->parameters());
    run = [this, rest](const Tensor& x) { rest(*this, net->forward(x), i); };
    if (way == Way::kInside) run = compile(run);
    if (way == Way::kOutside) run = [this, rest, forward = compile(net)](const Tensor& x) mutable { rest(*this, forward(x), i); };
  }
  World(const World&) = delete;

  /// Type and text of what was thrown, empty when nothing was. Seeds the generator.
  std::string step(int number, const Tensor& x) {
    manual_seed(1000 + number);
    i = number;
    try {
      run(x);
    } catch (const std::exception& e) { return std::string(typeid(e).name()) + ": " + e.what(); }
    return {};
  }

  /// Parameters, buffers, gradients, versions, what the optimizer remembers, the generator.
  std::vector<std::string> state() {
    std::vector<std::string> all;
    for (const Tensor& p : net->parameters()) {
      all.push_back(bits(p) + " version " + std::to_string(p._version()));
      all.push_back(p.grad().defined() ? bits(p.grad()) : "no gradient");
    }
    for (const Tensor& b : net->buffers()) all.push_back(bits(b));
    for (const auto& [number, fields] : opt->state_dict().state) {
      for (const auto& [name, value] : fields) {
        const Tensor* t = std::get_if<Tensor>(&value);
        all.push_back(std::to_string(number) + " " + name + (t != nullptr ? bits(*t) : ""));
      }
    }
    all.push_back(std::to_string(Generator::get_default().counter()));
    return all;
  }

  Net net{nullptr};
  std::unique_ptr<optim::Optimizer> opt;
  std::function<void(const Tensor&)> run;
  int i = 0;
};

inline Tensor class_loss(const Tensor& outputs) {
  return nn::functional::cross_entropy(outputs, arange(outputs.size(0), kLong) % outputs.size(1));
}

}  // namespace sinter::test

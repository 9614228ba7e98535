// Training with compile(), in the two forms there are: (a) the whole step (forward, loss, backward, clipping, update) is one
// compiled function; (b) the loop stays as it is, and the model and the optimizer's step are compiled. Both do the same to the
// bit. The C++ around the operators stays C++ and runs on every call.
#include <sinter/sinter.h>
#include <iostream>
#include "progress.h"

using sinter::Tensor;
namespace nn = sinter::nn;
namespace optim = sinter::optim;

namespace {

constexpr int kEpochs = 20;
constexpr size_t kBatch = 64;

nn::Sequential make_net() {
  return nn::Sequential(nn::Linear(2, 32), nn::ReLU(), nn::Linear(32, 32), nn::Tanh(), nn::Linear(32, 2));
}

/// The epochs, whatever a step is.
template <class Step>
void train(const sinter::data::TensorDataset& data, optim::Optimizer& opt, Step&& step) {
  auto loader = sinter::data::make_data_loader(data, kBatch);
  // A rate is a value, not part of the compiled code: changing it recompiles nothing.
  optim::CosineAnnealingLR schedule(opt, kEpochs);
  for (int epoch = 1; epoch <= kEpochs; ++epoch) {
    samples::Progress bar(fmt::format("epoch {:2}/{}", epoch, kEpochs), 512);
    for (auto& batch : *loader) bar.advance(batch.data.size(0), step(batch.data, batch.target).template item<double>());
    schedule.step();
  }
}

double accuracy(nn::Sequential& net, const Tensor& x, const Tensor& y) {
  sinter::NoGradGuard no_grad;
  return net(x).argmax(1).eq(y).to(sinter::kDouble).mean().item<double>();
}

}  // namespace

int main() {
  sinter::manual_seed(1);
  // Two classes: inside and outside of a circle.
  const Tensor x = sinter::rand({512, 2}) * 4 - 2, y = (x.square().sum(1) < 2.5).to(sinter::kLong);
  const sinter::data::TensorDataset data(x, y);
  const nn::CrossEntropyLoss criterion;

  std::cout << "(a) the whole step compiled\n";
  sinter::manual_seed(2);
  auto net_a = make_net();
  optim::Adam opt_a(net_a->parameters(), optim::AdamOptions(0.01));
  auto step = sinter::compile(
      [&](Tensor in, Tensor target) {
        opt_a.zero_grad();
        Tensor loss = criterion(net_a(in), target);
        loss.backward();
        nn::utils::clip_grad_norm_(net_a->parameters(), 1.0);
        opt_a.step();
        return loss;
      },
      {.name = "step"});
  train(data, opt_a, step);

  std::cout << "(b) the model and the update compiled, the loop unchanged\n";
  sinter::manual_seed(2);
  auto net_b = make_net();
  optim::Adam opt_b(net_b->parameters(), optim::AdamOptions(0.01));
  auto model = sinter::compile(net_b, {.name = "model"});
  auto update = sinter::compile(opt_b, {.name = "update"});
  train(data, opt_b, [&](const Tensor& in, const Tensor& target) {
    update.zero_grad();
    Tensor loss = criterion(model(in), target);
    loss.backward();  // one compiled program, too
    nn::utils::clip_grad_norm_(net_b->parameters(), 1.0);
    update.step();
    return loss;
  });

  bool same = true;
  for (size_t i = 0; i < net_a->parameters().size(); ++i) same = same && equal(net_a->parameters()[i], net_b->parameters()[i]);
  const double right = accuracy(net_a, x, y);
  std::cout << "accuracy " << right << ", parameters of (a) and (b) " << (same ? "equal" : "DIFFERENT") << '\n';
  return right > 0.9 && same ? 0 : 1;
}

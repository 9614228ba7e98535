// A whole training step (forward, loss, backward, update) compiled as one region. The C++ around the operators, here
// the learning rate schedule and a branch on the loss, stays C++ and runs on every call.
#include <sinter/sinter.h>
#include <iostream>

using sinter::Tensor;
namespace nn = sinter::nn;

int main() {
  sinter::manual_seed(1);
  // Two classes: inside and outside of a circle.
  Tensor x = sinter::rand({512, 2}) * 4 - 2;
  Tensor y = (x.square().sum(1) < 2.5).to(sinter::kLong);

  nn::Sequential net(nn::Linear(2, 32), nn::ReLU(), nn::Linear(32, 32), nn::Tanh(), nn::Linear(32, 2));
  sinter::optim::Adam opt(net->parameters(), sinter::optim::AdamOptions(0.01));
  nn::CrossEntropyLoss criterion;
  std::cout << net << "\n\n";

  auto step = sinter::compile(
      [&](Tensor data, Tensor target) {
        opt.zero_grad();
        Tensor loss = criterion(net(data), target);
        loss.backward();
        opt.step();
        return loss;
      },
      {.name = "step"});

  auto loader = sinter::data::make_data_loader(sinter::data::TensorDataset(x, y), 64);
  for (int epoch = 1; epoch <= 40; ++epoch) {
    double sum = 0;
    for (auto& batch : *loader) sum += step(batch.data, batch.target).item<double>();
    // A rate is a value, not part of the compiled code: changing it recompiles nothing.
    opt.param_groups()[0].options().set_lr(0.01 / (1 + 0.1 * epoch));
    if (epoch % 10 == 0) std::cout << "epoch " << epoch << "  mean loss " << sum / 8 << '\n';
  }
  sinter::NoGradGuard no_grad;
  const double right = net(x).argmax(1).eq(y).sum().item<double>();
  std::cout << "accuracy " << right / 512 << '\n';
  return right / 512 > 0.9 ? 0 : 1;
}

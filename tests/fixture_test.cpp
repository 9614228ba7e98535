// The main job's fixtures as tests: training, gradients and outputs of a small net, sin(x) + cos(y); all against PyTorch,
// eager and compiled.
#include "samples/fixture.h"
#include <sinter/sinter.h>
#include <catch2/catch.hpp>
#include <functional>

using namespace sinter;
using samples::compare;
using samples::Difference;
using samples::Fixture;
namespace F = sinter::nn::functional;

namespace {

struct NetImpl : nn::Module {
  NetImpl() {
    fc1 = register_module("fc1", nn::Linear(10, 5));
    fc2 = register_module("fc2", nn::Linear(5, 2));
  }
  Tensor forward(const Tensor& x) { return fc2(F::relu(fc1(x))); }
  nn::Linear fc1{nullptr}, fc2{nullptr};
};
SINTER_MODULE(Net);

const Fixture& mymodel() {
  static const Fixture fixture(samples::data_folder(), "mymodel");
  return fixture;
}

Net net_from(const nlohmann::json& keys) {
  Net net;
  NoGradGuard no_grad;
  for (auto& item : net->named_parameters()) item.value().copy_(mymodel().tensor(keys.at(item.key())));
  return net;
}

/// Trains as the manifest says and checks every step's loss and the final parameters.
void check_training(Net net, const std::function<Tensor(const Tensor&, const Tensor&)>& step) {
  const auto& spec = mymodel().manifest["training"][0];
  const Tensor x = mymodel().tensor(spec["data"]["x"]), y = mymodel().tensor(spec["data"]["y"]);
  const int64_t batch = spec["batch_size"], batches = x.size(0) / batch;
  const auto& want = spec["step_losses"];
  for (size_t k = 0; k < want.size(); ++k) {
    const int64_t start = static_cast<int64_t>(k) % batches * batch;
    Difference d;
    d.add(step(x.narrow(0, start, batch), y.narrow(0, start, batch)).item<double>(), want[k], spec["rtol"], spec["atol"]["loss"]);
    INFO("step " << k << " differs by " << d.largest);
    REQUIRE(d.ok);
  }
  for (const auto& item : net->named_parameters()) {
    INFO(item.key());
    CHECK(compare(item.value(), mymodel().tensor(spec["final"][item.key()]["tensor"]), spec["rtol"], spec["atol"]["params"]).ok);
  }
}

}  // namespace

TEST_CASE("training agrees with PyTorch") {
  const auto& spec = mymodel().manifest["training"][0];
  const bool set_to_none = GENERATE(false, true);
  INFO("set_to_none " << set_to_none);
  Net net = net_from(spec["init"]);
  optim::SGD opt(net->parameters(), spec["optimizer"]["lr"].get<double>());
  const auto step = [&](Tensor x, Tensor y) {
    Tensor loss = F::cross_entropy(net(x), y);
    loss.backward();
    opt.step();
    opt.zero_grad(set_to_none);
    return loss;
  };
  SECTION("eager") { check_training(net, step); }
  SECTION("the step compiled") { check_training(net, compile(step)); }
  SECTION("the forward pass compiled") {
    auto forward = compile([&](Tensor x) { return net(x); });
    check_training(net, [&](const Tensor& x, const Tensor& y) {
      Tensor loss = F::cross_entropy(forward(x), y);
      loss.backward();
      opt.step();
      opt.zero_grad(set_to_none);
      return loss;
    });
  }
}

TEST_CASE("eager and compiled training agree to the bit") {
  const auto& spec = mymodel().manifest["training"][0];
  const Tensor x = mymodel().tensor(spec["data"]["x"]), y = mymodel().tensor(spec["data"]["y"]);
  for (const bool adam : {false, true}) {
    INFO((adam ? "Adam" : "SGD with momentum"));
    std::vector<Net> nets;
    for (const bool compiled : {false, true}) {
      Net net = net_from(spec["init"]);
      std::unique_ptr<optim::Optimizer> opt;
      if (adam) opt = std::make_unique<optim::Adam>(net->parameters(), optim::AdamOptions(0.01));
      else opt = std::make_unique<optim::SGD>(net->parameters(), optim::SGDOptions(0.05).momentum(0.9).nesterov(true));
      const std::function<Tensor(Tensor, Tensor)> step = [&](Tensor a, Tensor b) {
        opt->zero_grad();
        Tensor loss = F::cross_entropy(net(a), b);
        loss.backward();
        opt->step();
        return loss;
      };
      auto wrapped = compile(step);
      for (int64_t k = 0; k < 30; ++k) {
        const Tensor a = x.narrow(0, k % 10 * 10, 10), b = y.narrow(0, k % 10 * 10, 10);
        compiled ? wrapped(a, b) : step(a, b);
      }
      nets.push_back(net);
    }
    for (size_t i = 0; i < nets[0]->parameters().size(); ++i) {
      INFO("parameter " << i);
      CHECK(equal(nets[0]->parameters()[i], nets[1]->parameters()[i]));
      CHECK(equal(nets[0]->parameters()[i].grad(), nets[1]->parameters()[i].grad()));
    }
  }
}

TEST_CASE("outputs and gradients agree with PyTorch") {
  nlohmann::json keys;
  for (const auto& entry : mymodel().manifest["state_dict"]) keys[entry["name"]] = entry["tensor"];
  Net net = net_from(keys);
  net->eval();
  auto forward = compile([&](Tensor x) { return net(x); });
  for (int round = 0; round < 3; ++round) {
    NoGradGuard no_grad;
    for (const auto& c : mymodel().manifest["cases"]) {
      INFO("case " << c["name"].get<std::string>() << ", round " << round);
      const Tensor x = mymodel().tensors(c["inputs"])[0], want = mymodel().tensors(c["outputs"])[0];
      CHECK(compare(net(x), want, c["rtol"], c["atol"]).ok);
      CHECK(compare(forward(x), want, c["rtol"], c["atol"]).ok);
      CHECK(equal(forward(x), net(x)));
    }
  }
  const auto& spec = mymodel().manifest["gradients"][0];
  const Tensor target = mymodel().tensor(spec["target"]);
  const auto eager = [&](Tensor x) {
    Tensor loss = F::cross_entropy(net(x), target);
    loss.backward();
    return loss;
  };
  auto compiled = compile(eager);
  for (int round = 0; round < 6; ++round) {
    INFO("round " << round);
    net->zero_grad(/*set_to_none=*/round < 4);
    const Tensor x = mymodel().tensors(spec["inputs"])[0].requires_grad_();
    const Tensor loss = round % 2 == 0 ? eager(x) : compiled(x);
    CHECK(loss.item<double>() == Approx(spec["loss"].get<double>()).epsilon(1e-5));
    for (const auto& item : net->named_parameters()) {
      INFO(item.key());
      CHECK(compare(item.value().grad(), mymodel().tensor(spec["grads"][item.key()]["tensor"]), spec["rtol"], spec["atol"]).ok);
    }
    CHECK(compare(x.grad(), mymodel().tensor(spec["input_grads"][0]["tensor"]), spec["rtol"], spec["atol"]).ok);
  }
}

TEST_CASE("sin(x) + cos(y) agrees with PyTorch") {
  const Fixture fixture(samples::data_folder(), "sincos");
  const auto f = [](Tensor x, Tensor y) { return x.sin() + y.cos(); };
  auto g = compile(f);
  for (int round = 0; round < 3; ++round) {
    for (const auto& c : fixture.manifest["cases"]) {
      INFO("case " << c["name"].get<std::string>() << ", round " << round);
      const auto in = fixture.tensors(c["inputs"]);
      const Tensor want = fixture.tensors(c["outputs"])[0];
      CHECK(compare(f(in[0], in[1]), want, c["rtol"], c["atol"]).ok);
      CHECK(compare(g(in[0], in[1]), want, c["rtol"], c["atol"]).ok);
      if (in[0].dim() == 2) {
        const Tensor a = in[0].t().contiguous().t(), b = in[1];
        CHECK(compare(g(a, b), want, c["rtol"], c["atol"]).ok);
      }
    }
  }
}

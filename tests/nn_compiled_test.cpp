// Modules and optimizers inside compiled functions: the same bits as eager, whatever changes between calls.
#include <sinter/sinter.h>
#include <catch2/catch.hpp>
#include <functional>

using namespace sinter;
namespace F = sinter::nn::functional;

namespace {

/// Runs both and requires equal bits (and dtypes and sizes); returns the compiled result.
template <class Eager, class Wrapped, class... A>
void check_same(Eager& eager, Wrapped& wrapped, const A&... args) {
  const Tensor want = eager(args...), got = wrapped(args...);
  REQUIRE(got.dtype() == want.dtype());
  REQUIRE(got.sizes() == want.sizes());
  CHECK(equal(got, want));
}

nn::Sequential make_net() {
  return nn::Sequential(nn::Linear(6, 8), nn::LayerNorm(nn::LayerNormOptions({8})), nn::GELU(), nn::Linear(8, 5), nn::Tanh(),
                        nn::LogSoftmax(1));
}

}  // namespace

TEST_CASE("layers compiled") {
  manual_seed(3);
  NoGradGuard no_grad;
  const Tensor x = randn({7, 6});
  const std::vector<nn::AnyModule> layers = {nn::Linear(6, 3),
                                             nn::Linear(nn::LinearOptions(6, 3).bias(false)),
                                             nn::ReLU(),
                                             nn::GELU(),
                                             nn::GELU(nn::GELUOptions().approximate("tanh")),
                                             nn::Tanh(),
                                             nn::Sigmoid(),
                                             nn::Softmax(1),
                                             nn::Softmax(0),
                                             nn::LogSoftmax(1),
                                             nn::LayerNorm(nn::LayerNormOptions({6})),
                                             nn::LayerNorm(nn::LayerNormOptions({7, 6}).elementwise_affine(false)),
                                             nn::RMSNorm(nn::RMSNormOptions({6})),
                                             nn::RMSNorm(nn::RMSNormOptions({7, 6}).eps(0.1).elementwise_affine(false)),
                                             nn::SiLU(),
                                             nn::Flatten(nn::FlattenOptions().start_dim(0)),
                                             nn::Identity(),
                                             make_net()};
  for (const auto& layer : layers) {
    INFO(layer.ptr()->name());
    const auto f = [&](Tensor t) { return layer.forward(t) * 2; };
    auto g = compile(f);
    for (int i = 0; i < 3; ++i) check_same(f, g, x + i);
  }
}

TEST_CASE("a module itself is compiled; its state is seen at every call") {
  manual_seed(4);
  NoGradGuard no_grad;
  nn::Sequential net = make_net();
  auto g = compile(net);
  const Tensor x = randn({4, 6});
  for (int i = 0; i < 3; ++i) check_same(net, g, x);
  SECTION("parameters written in place") { net->at<nn::LinearImpl>(0).weight.mul_(0.5); }
  SECTION("a parameter's memory exchanged") { net->at<nn::LinearImpl>(0).weight = randn({8, 6}); }
  SECTION("an option that a branch reads") { net->at<nn::GELUImpl>(2).options.approximate("tanh"); }
  SECTION("cast to double and back") {
    net->to(kDouble);
    for (int i = 0; i < 3; ++i) check_same(net, g, x.to(kDouble));
    net->to(kFloat);
  }
  SECTION("other batch sizes") {
    for (const int64_t n : {1, 3, 9, 4}) check_same(net, g, randn({n, 6}));
  }
  for (int i = 0; i < 3; ++i) check_same(net, g, x);
}

TEST_CASE("explanations of a compiled module name the line of compile(), not one of the standard library") {
  const Tensor x = randn({4, 6});
  const auto places = [&](auto g) {
    const std::string text = explain(g)(x).str();
    CHECK_THAT(text, Catch::Contains("linear (nn_compiled_test.cpp:"));
    CHECK_THAT(text, !Catch::Contains(".h:"));
  };
  const nn::Linear layer(6, 5);
  places(compile(make_net()));
  places(compile(layer));
  places(compile(layer.ptr()));
}

TEST_CASE("dropout follows the mode and the generator") {
  nn::Sequential net(nn::Linear(6, 50), nn::Dropout(0.4), nn::ReLU());
  auto g = compile([&](Tensor x) { return net(x); });
  NoGradGuard no_grad;
  const Tensor x = randn({5, 6});
  for (const bool training : {true, true, true, false, false, true, false}) {
    net->train(training);
    manual_seed(9);
    const Tensor want = net(x), next = net(x);
    manual_seed(9);
    CHECK(equal(g(x), want));
    CHECK(equal(g(x), next));
    CHECK(equal(want, next) == !training);
  }
}

TEST_CASE("embedding and losses compiled, with gradients") {
  manual_seed(5);
  nn::Embedding embedding(nn::EmbeddingOptions(11, 6).padding_idx(0));
  nn::Linear head(6, 3);
  nn::CrossEntropyLoss criterion(nn::CrossEntropyLossOptions().label_smoothing(0.1));
  const auto f = [&](Tensor words, Tensor target) {
    Tensor loss = criterion(head(embedding(words).mean({1})), target) + F::mse_loss(head->weight, zeros({3, 6}));
    loss.backward();
    return loss;
  };
  auto g = compile(f);
  for (int round = 0; round < 4; ++round) {
    const Tensor words = randint(11, {4, 5}), target = randint(3, {4});
    const auto run = [&](auto& function) {
      for (const Tensor& p : {embedding->weight, head->weight, head->bias}) p.mutable_grad().reset();
      std::vector<Tensor> out = {function(words, target)};
      for (const Tensor& p : {embedding->weight, head->weight, head->bias}) out.push_back(p.grad().clone());
      return out;
    };
    const auto want = run(f), got = run(g);
    for (size_t i = 0; i < want.size(); ++i) {
      INFO("round " << round << ", result " << i);
      CHECK(equal(got[i], want[i]));
    }
    CHECK(got[1].select(0, 0).abs().sum().item<double>() == 0);
  }
  CHECK_THROWS_AS(g(full({4, 5}, 11), zeros({4}, kLong)), IndexError);
}

namespace {

using Make = std::function<std::unique_ptr<optim::Optimizer>(const std::vector<Tensor>&)>;

struct Named {
  const char* name;
  Make make;
};

template <class O, class Options>
Make make(Options options) {
  return [options](const std::vector<Tensor>& p) { return std::make_unique<O>(p, options); };
}

}  // namespace

TEST_CASE("optimizers compiled: same bits, and a changing rate recompiles nothing") {
  using namespace sinter::optim;
  const std::vector<Named> all = {
      {"sgd", make<SGD>(SGDOptions(0.1))},
      {"sgd nesterov", make<SGD>(SGDOptions(0.1).momentum(0.9).nesterov(true).weight_decay(0.01))},
      {"adam", make<Adam>(AdamOptions(0.01).weight_decay(0.1))},
      {"adam amsgrad", make<Adam>(AdamOptions(0.01).amsgrad(true))},
      {"adamw", make<AdamW>(AdamWOptions(0.01))},
  };
  for (const auto& [name, make_optimizer] : all) {
    INFO(name);
    std::vector<std::vector<Tensor>> results;
    for (const bool compiled : {false, true}) {
      manual_seed(21);
      nn::Sequential net(nn::Linear(6, 8), nn::ReLU(), nn::Linear(8, 3));
      auto opt = make_optimizer(net->parameters());
      const auto step = [&](Tensor x, Tensor y) {
        opt->zero_grad();
        Tensor loss = F::cross_entropy(net(x), y);
        loss.backward();
        opt->step();
        return loss;
      };
      auto wrapped = compile(step);
      int64_t settled = 0;
      for (int k = 0; k < 20; ++k) {
        const Tensor x = randn({4, 6}), y = randint(3, {4});
        opt->param_groups()[0].options().set_lr(0.1 / (k + 1));
        compiled ? wrapped(x, y) : step(x, y);
        if (k == 6) settled = wrapped.stats().regions_compiled;
      }
      CHECK(wrapped.stats().regions_compiled == settled);
      if (compiled) CHECK(wrapped.stats().replays > 10);
      results.push_back(net->parameters());
    }
    for (size_t i = 0; i < results[0].size(); ++i) CHECK(equal(results[0][i], results[1][i]));
  }
}

TEST_CASE("a module cast inside a compiled function ends the region there") {
  manual_seed(6);
  nn::Linear net(3, 2);
  NoGradGuard no_grad;
  auto g = compile([&](Tensor x) {
    Tensor before = net(x);
    net->to(net->weight.dtype() == kFloat ? kDouble : kFloat);
    return before + net(x.to(net->weight.dtype()));
  });
  const Tensor x = randn({2, 3});
  for (int i = 0; i < 4; ++i) {
    const Tensor in = x.to(net->weight.dtype());
    const Tensor once = net(in).to(kDouble);
    const Tensor got = g(in);
    CHECK(got.dtype() == kDouble);
    CHECK(allclose(got, 2 * once, 1e-5, 1e-6));
  }
}

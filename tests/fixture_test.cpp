// Models trained and differentiated by PyTorch, again by sinter in three ways: eager; with the whole step compiled; and with the
// forward compiled in an unchanged eager loop. Then outputs, and sin(x) + cos(y).
#include "samples/fixture.h"
#include "fixture_models.h"
#include "support.h"

using namespace sinter;
using samples::compare;
using samples::Difference;
using samples::Fixture;
using sinter::test::same_bits;
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
  mymodel().load(*net, keys);
  return net;
}

double accuracy(const Tensor& outputs, const Tensor& y) { return outputs.argmax(1).eq(y).to(kDouble).mean().item<double>(); }

/// An accuracy is PyTorch's; one sample may fall either way where two outputs were too close.
void check_accuracy(double got, const char* what, const nlohmann::json& log, double one_sample) {
  INFO(what);
  CHECK(got == Approx(log[what].get<double>()).margin(log["min_margin"] < 1e-4 ? one_sample + 1e-9 : 1e-9));
}

/// A training step: gives the loss and the outputs before it.
using Step = std::function<std::pair<Tensor, Tensor>(const Tensor&, const Tensor&)>;

/// Trains as the manifest says; checks every step's loss, each epoch's figures, the final parameters and buffers.
void check_training(const Fixture& fixture, nn::Module& net, const std::function<Tensor(const Tensor&)>& outputs_of,
                    const Step& step) {
  const auto& spec = fixture.manifest["training"][0];
  const bool training = spec["mode"] == "train";
  const Tensor x = fixture.tensor(spec["data"]["x"]), y = fixture.tensor(spec["data"]["y"]);
  const int64_t batch = spec["batch_size"], batches = x.size(0) / batch;
  const double one_sample = 1.0 / static_cast<double>(x.size(0));
  size_t number = 0;  // of the step
  for (size_t epoch = 0; epoch < spec["epochs_log"].size(); ++epoch) {
    INFO("epoch " << epoch);
    const auto& log = spec["epochs_log"][epoch];
    net.train(training);
    double running = 0, losses = 0;
    for (int64_t k = 0; k < batches; ++k) {
      const Tensor data = x.narrow(0, k * batch, batch), target = y.narrow(0, k * batch, batch);
      const auto [loss, outputs] = step(data, target);
      Difference d;
      d.add(loss.item<double>(), spec["step_losses"][number], spec["rtol"], spec["atol"]["loss"]);
      INFO("step " << number++ << " differs by " << d.largest);
      REQUIRE(d.ok);
      losses += loss.item<double>() / static_cast<double>(batches);
      running += accuracy(outputs, target) / static_cast<double>(batches);
    }
    Difference mean;
    mean.add(losses, log["mean_loss"], spec["rtol"], spec["atol"]["loss"]);
    CHECK(mean.ok);
    NoGradGuard no_grad;
    net.eval();
    check_accuracy(running, "running_accuracy", log, one_sample);
    check_accuracy(accuracy(outputs_of(x), y), "accuracy_after", log, one_sample);
  }
  REQUIRE(number == spec["step_losses"].size());
  const auto check = [&](const std::string& name, const Tensor& value) {
    INFO(name);
    CHECK(compare(value, fixture, spec["final"][name], spec["rtol"], spec["atol"]["params"]).ok);
  };
  for (const auto& item : net.named_parameters()) check(item.key(), item.value());
  for (const auto& item : net.named_buffers()) check(item.key(), item.value());
}

/// Loss and gradients of parameters and floating inputs, of every "gradients" entry: PyTorch's, and in all ways the same bits.
/// `loss_of` makes the loss of the outputs and the target, which some entries have not.
template <size_t N, class Model, class Loss>
void check_gradients(const Fixture& fixture, Model net, const Loss& loss_of) {
  for (const auto& spec : fixture.manifest["gradients"]) {
    fixture.load(*net, fixture.state_keys());
    net->train(spec["mode"] == "train");
    const Tensor target = spec.contains("target") ? fixture.tensor(spec["target"]) : Tensor();
    const auto around = [&](auto&& forward) {
      return [&](const std::array<Tensor, N>& in) {
        const Tensor loss = loss_of(std::apply(forward, in), target);
        loss.backward();
        return loss;
      };
    };
    const auto eager_net = [&](const auto&... in) { return net->forward(in...); };
    auto compiled_net = compile(net);
    const auto eager = around(eager_net), outside = around(compiled_net);
    auto inside = compile(eager);
    std::vector<Tensor> eager_grads;
    for (int round = 0; round < 12; ++round) {
      const int way = round % 3;
      INFO(fixture.manifest["name"] << ", "
                                    << (way == 0   ? "eager"
                                        : way == 1 ? "backward inside"
                                                   : "backward outside")
                                    << ", round " << round);
      net->zero_grad(/*set_to_none=*/round < 6);
      const auto values = fixture.tensors(spec["inputs"]);
      REQUIRE(values.size() == N);
      std::array<Tensor, N> in;
      for (size_t i = 0; i < N; ++i) {
        in[i] = values[i];
        if (is_floating(in[i].dtype())) in[i].requires_grad_();
      }
      const Tensor loss = way == 0 ? eager(in) : way == 1 ? inside(in) : outside(in);
      std::vector<Tensor> grads = {loss};
      const auto check = [&](const std::string& name, const Tensor& grad, const nlohmann::json& want) {
        const Difference d = compare(grad, fixture, want, spec["rtol"], spec["atol"]);
        INFO(name << " differs by " << d.largest);
        CHECK(d.ok);
        grads.push_back(grad);
      };
      Difference d;
      d.add(loss.item<double>(), spec["loss"], spec["rtol"], spec["atol"]);
      CHECK(d.ok);
      for (const auto& item : net->named_parameters()) check(item.key(), item.value().grad(), spec["grads"][item.key()]);
      for (size_t i = 0; i < N; ++i)
        if (in[i].requires_grad()) check("input " + std::to_string(i), in[i].grad(), spec["input_grads"].at(i));
      if (way == 0) eager_grads.clear();
      for (size_t i = 0; i < grads.size(); ++i) {
        if (way == 0) eager_grads.push_back(grads[i].detach().clone());
        else CHECK(same_bits(grads[i], eager_grads[i]));
      }
    }
    for (const CompileStats& s : {inside.stats(), compiled_net.stats(), compiled_net.backward_stats()}) {
      CHECK(s.regions_compiled > 0);
      CHECK(s.replays > 0);
      CHECK(s.eager_fallbacks == 0);
    }
  }
}

}  // namespace

TEST_CASE("training agrees with PyTorch") {
  const auto& spec = mymodel().manifest["training"][0];
  const bool set_to_none = GENERATE(false, true);
  INFO("set_to_none " << set_to_none);
  Net net = net_from(spec["init"]);
  optim::SGD opt(net->parameters(), spec["optimizer"]["lr"].get<double>());
  const auto step_with = [&](auto&& forward) {
    return [&](const Tensor& x, const Tensor& y) {
      const Tensor outputs = forward(x), loss = F::cross_entropy(outputs, y);
      loss.backward();
      opt.step();
      opt.zero_grad(set_to_none);
      return std::pair(loss, outputs);
    };
  };
  SECTION("eager") { check_training(mymodel(), *net, net, step_with(net)); }
  SECTION("the step compiled") { check_training(mymodel(), *net, net, compile(step_with(net))); }
  SECTION("the forward pass compiled") {
    auto forward = compile(net);
    check_training(mymodel(), *net, forward, step_with(forward));
    CHECK(forward.backward_stats().replays > 0);
  }
}

TEST_CASE("gradients of models agree with PyTorch") {
  const auto cross_entropy = [](const Tensor& y, const Tensor& target) { return F::cross_entropy(y, target); };
  const auto fixture = [](const char* name) { return Fixture(SINTER_TEST_DATA, name); };
  SECTION("mymodel") { check_gradients<1>(mymodel(), Net(), cross_entropy); }
  SECTION("mnist_mlp") { check_gradients<1>(fixture("mnist_mlp"), test::MnistMLP(), cross_entropy); }
  SECTION("bert_2l_d64") {
    check_gradients<3>(fixture("bert_2l_d64"), test::BertLike(), [](const auto& y, const Tensor&) {
      const auto& [hidden, pooled] = y;
      return pooled.pow(2).mean() + hidden.pow(3).mean();
    });
  }
  SECTION("lstm_loop") {
    check_gradients<3>(fixture("lstm_loop"), test::LSTMLoop(5, 8), [](const auto& y, const Tensor&) {
      const auto& [all, h, c] = y;
      return all.pow(2).mean() + c.mean();
    });
  }
  SECTION("lstm_gru_nn") {
    check_gradients<1>(fixture("lstm_gru_nn"), test::SeqNN(6, 10), [](const auto& y, const Tensor&) {
      const auto& [out, state] = y;
      return out.pow(2).mean() + state.mean();
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

TEST_CASE("outputs agree with PyTorch") {
  Net net = net_from(mymodel().state_keys());
  net->eval();
  auto forward = compile(net);
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

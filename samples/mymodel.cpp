// The main job: a small classifier trained by PyTorch is trained again by sinter in three ways, and every loss, accuracy,
// gradient, parameter and output is compared with PyTorch's. Then sin(x) + cos(y), the speed, and one generated kernel.
//
//   sample_mymodel [folder with mymodel.json and sincos.json]
#include <sinter/sinter.h>
#include <algorithm>
#include <chrono>
#include <functional>
#include "fixture.h"

namespace {

using samples::Difference;
using samples::Fixture;
using sinter::Tensor;
namespace nn = sinter::nn;
namespace F = sinter::nn::functional;

constexpr int kShownLines = 40;  // of a kernel's assembly

struct NetImpl : nn::Module {
  NetImpl() {
    fc1 = register_module("fc1", nn::Linear(10, 5));
    fc2 = register_module("fc2", nn::Linear(5, 2));
  }
  Tensor forward(const Tensor& x) { return fc2(F::relu(fc1(x))); }

  nn::Linear fc1{nullptr}, fc2{nullptr};
};
SINTER_MODULE(Net);

/// A net whose parameters are those named by `keys` (parameter name -> tensor key).
Net net_from(const Fixture& fixture, const nlohmann::json& keys) {
  Net net;
  fixture.load(*net, keys);
  return net;
}

/// What one training run produced.
struct Run {
  std::vector<double> step_losses, mean_losses, running_accuracy, accuracy_after;
  Net net{nullptr};
};
/// One training step: the loss and the outputs before the update.
struct Step {
  Tensor loss, logits;
};
using StepFunction = std::function<Step(const Tensor&, const Tensor&)>;

int64_t correct(const Tensor& logits, const Tensor& y) { return logits.argmax(1).eq(y).sum().item<int64_t>(); }

/// The epochs around a step function, the same for all three ways.
Run train(const Fixture& fixture, Net net, const StepFunction& step) {
  const auto& spec = fixture.manifest["training"][0];
  const Tensor x = fixture.tensor(spec["data"]["x"]), y = fixture.tensor(spec["data"]["y"]);
  const size_t batch_size = spec["batch_size"];
  const auto examples = static_cast<double>(x.size(0));
  auto loader =
      sinter::data::make_data_loader<sinter::data::samplers::SequentialSampler>(sinter::data::TensorDataset(x, y), batch_size);
  Run run;
  run.net = net;
  for (int epoch = 0; epoch < spec["epochs"].get<int>(); ++epoch) {
    double loss_sum = 0;
    int64_t hits = 0, steps = 0;
    for (auto& batch : *loader) {
      const Step s = step(batch.data, batch.target);
      run.step_losses.push_back(s.loss.item<double>());
      loss_sum += run.step_losses.back();
      hits += correct(s.logits, batch.target);
      ++steps;
    }
    run.mean_losses.push_back(loss_sum / static_cast<double>(steps));
    run.running_accuracy.push_back(static_cast<double>(hits) / examples);
    sinter::NoGradGuard no_grad;
    run.accuracy_after.push_back(static_cast<double>(correct(net(x), y)) / examples);
  }
  return run;
}

struct Way {
  const char* name;
  Run run;
  double step_ns = 0;
};

/// Nanoseconds a call takes: the fastest of many short windows, which other programs on the machine disturb least.
template <class Call>
double time_ns(Call&& call) {
  constexpr int kCalls = 100, kWindows = 60;
  for (int i = 0; i < kCalls; ++i) call();
  double fastest = std::numeric_limits<double>::infinity();
  for (int w = 0; w < kWindows; ++w) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) call();
    fastest =
        std::min(fastest, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / kCalls);
  }
  return fastest;
}

/// A net of its own with the same parameter values.
Net copy_of(const Net& net) {
  Net copy;
  sinter::NoGradGuard no_grad;
  const auto from = net->named_parameters();
  for (auto& item : copy->named_parameters()) item.value().copy_(from[item.key()]);
  return copy;
}

/// Trains and then times steps on one batch.
Way measure(const char* name, const Fixture& fixture, const Net& net, const StepFunction& step) {
  Way way{name, train(fixture, net, step)};
  way.run.net = copy_of(net);  // timing goes on training
  const auto& data = fixture.manifest["training"][0]["data"];
  const Tensor x = fixture.tensor(data["x"]).narrow(0, 0, 10), y = fixture.tensor(data["y"]).narrow(0, 0, 10);
  way.step_ns = time_ns([&] { step(x, y); });
  return way;
}

/// 1. Eager: every operator runs when it is called.
Way eager_way(const Fixture& fixture) {
  Net net = net_from(fixture, fixture.manifest["training"][0]["init"]);
  sinter::optim::SGD opt(net->parameters(), 0.01);
  return measure("eager", fixture, net, [&](const Tensor& x, const Tensor& y) {
    Tensor logits = net(x);
    Tensor loss = F::cross_entropy(logits, y);
    loss.backward();
    opt.step();
    opt.zero_grad();
    return Step{loss, logits};
  });
}

/// 2. The forward pass is compiled, the rest of the loop is eager.
Way forward_way(const Fixture& fixture) {
  Net net = net_from(fixture, fixture.manifest["training"][0]["init"]);
  sinter::optim::SGD opt(net->parameters(), 0.01);
  auto forward = sinter::compile([&](Tensor x) { return net(x); }, {.name = "forward"});
  return measure("forward compiled", fixture, net, [&](const Tensor& x, const Tensor& y) {
    Tensor logits = forward(x);
    Tensor loss = F::cross_entropy(logits, y);
    loss.backward();
    opt.step();
    opt.zero_grad();
    return Step{loss, logits};
  });
}

/// 3. The whole step is compiled: forward, loss, backward and update in one.
Way step_way(const Fixture& fixture) {
  Net net = net_from(fixture, fixture.manifest["training"][0]["init"]);
  sinter::optim::SGD opt(net->parameters(), 0.01);
  auto step = sinter::compile(
      [&](Tensor x, Tensor y) {
        Tensor logits = net(x);
        Tensor loss = F::cross_entropy(logits, y);
        loss.backward();
        opt.step();
        opt.zero_grad();
        return Step{loss, logits};
      },
      {.name = "train_step"});
  return measure("step compiled", fixture, net, [&](const Tensor& x, const Tensor& y) { return step(x, y); });
}

/// Collects the first thing that differs from PyTorch by more than the manifest allows.
class Checks {
 public:
  void expect(bool ok, const std::string& what) {
    ++count_;
    if (!ok && why_.empty()) why_ = what;
  }
  const std::string& why() const { return why_; }
  int count() const { return count_; }

 private:
  std::string why_;
  int count_ = 0;
};

Difference check_losses(const Fixture& fixture, const Way& way, Checks& checks) {
  const auto& spec = fixture.manifest["training"][0];
  const double rtol = spec["rtol"], atol = spec["atol"]["loss"];
  const auto& want = spec["step_losses"];
  checks.expect(want.size() == way.run.step_losses.size(), fmt::format("{}: number of steps", way.name));
  Difference all;
  for (size_t i = 0; i < std::min(want.size(), way.run.step_losses.size()); ++i) {
    Difference d;
    d.add(way.run.step_losses[i], want[i], rtol, atol);
    checks.expect(d.ok, fmt::format("{}: loss of step {} is {}, PyTorch has {}", way.name, i, way.run.step_losses[i],
                                    want[i].get<double>()));
    all.add(d);
  }
  const double sample = static_cast<double>(1) / static_cast<double>(spec["batch_size"].get<int>() * spec["epochs"].get<int>());
  for (size_t e = 0; e < spec["epochs_log"].size(); ++e) {
    const auto& log = spec["epochs_log"][e];
    Difference mean;
    mean.add(way.run.mean_losses[e], log["mean_loss"], rtol, atol);
    checks.expect(mean.ok, fmt::format("{}: mean loss of epoch {}", way.name, e + 1));
    // With two outputs this close one sample may fall either way.
    const double slack = log["min_margin"] < 1e-4 ? sample : 0.0;
    for (const auto& [key, got] :
         {std::pair{"running_accuracy", way.run.running_accuracy[e]}, {"accuracy_after", way.run.accuracy_after[e]}}) {
      checks.expect(std::abs(got - log[key].get<double>()) <= slack + 1e-9,
                    fmt::format("{}: {} of epoch {} is {}", way.name, key, e + 1, got));
    }
  }
  return all;
}

Difference check_parameters(const Fixture& fixture, const Way& way, Checks& checks) {
  const auto& spec = fixture.manifest["training"][0];
  Difference all;
  for (const auto& item : way.run.net->named_parameters()) {
    const Difference d = samples::compare(item.value(), fixture, spec["final"][item.key()], spec["rtol"], spec["atol"]["params"]);
    checks.expect(d.ok, fmt::format("{}: final {} differs by {}", way.name, item.key(), d.largest));
    all.add(d);
  }
  return all;
}

/// Outputs of the trained model, for batches of 10, 1 and 100 through one compiled function.
Difference check_outputs(const Fixture& fixture, Checks& checks) {
  Net net = net_from(fixture, fixture.state_keys());
  auto forward = sinter::compile([&](Tensor x) { return net(x); }, {.name = "forward"});
  sinter::NoGradGuard no_grad;
  Difference all;
  for (int round = 0; round < 3; ++round) {
    for (const auto& c : fixture.manifest["cases"]) {
      const Tensor x = fixture.tensors(c["inputs"])[0], want = fixture.tensors(c["outputs"])[0];
      for (const Tensor& got : {net(x), forward(x)}) {
        const Difference d = samples::compare(got, want, c["rtol"], c["atol"]);
        checks.expect(d.ok, fmt::format("output of case {} differs by {}", c["name"].get<std::string>(), d.largest));
        all.add(d);
      }
    }
  }
  return all;
}

/// Gradients of the loss with respect to parameters and input, eager and with forward and backward compiled.
Difference check_gradients(const Fixture& fixture, Checks& checks) {
  const auto& spec = fixture.manifest["gradients"][0];
  Net net = net_from(fixture, fixture.state_keys());
  net->eval();
  const Tensor target = fixture.tensor(spec["target"]);
  const auto eager = [&](Tensor x) {
    Tensor loss = F::cross_entropy(net(x), target);
    loss.backward();
    return loss;
  };
  auto compiled = sinter::compile(eager, {.name = "loss_and_gradients"});
  Difference all;
  for (int round = 0; round < 4; ++round) {
    net->zero_grad(/*set_to_none=*/round < 2);
    const Tensor x = fixture.tensors(spec["inputs"])[0].requires_grad_();
    const Tensor loss = round % 2 == 0 ? eager(x) : compiled(x);
    const auto check = [&](const Difference& d, const std::string& what) {
      checks.expect(d.ok, fmt::format("{} differs by {}", what, d.largest));
      all.add(d);
    };
    Difference of_loss;
    of_loss.add(loss.item<double>(), spec["loss"], spec["rtol"], spec["atol"]);
    check(of_loss, "loss");
    for (const auto& item : net->named_parameters())
      check(samples::compare(item.value().grad(), fixture, spec["grads"][item.key()], spec["rtol"], spec["atol"]),
            "gradient of " + item.key());
    check(samples::compare(x.grad(), fixture, spec["input_grads"][0], spec["rtol"], spec["atol"]), "gradient of the input");
  }
  return all;
}

/// sin(x) + cos(y): every case, eager and compiled, each more than once through the same compiled function.
Difference check_sincos(const Fixture& fixture, Checks& checks) {
  const auto f = [](Tensor x, Tensor y) { return x.sin() + y.cos(); };
  auto g = sinter::compile(f, {.name = "sincos"});
  Difference all;
  for (int round = 0; round < 3; ++round) {
    for (const auto& c : fixture.manifest["cases"]) {
      const auto in = fixture.tensors(c["inputs"]);
      const Tensor want = fixture.tensors(c["outputs"])[0];
      for (const Tensor& got : {f(in[0], in[1]), g(in[0], in[1])}) {
        const Difference d = samples::compare(got, want, c["rtol"], c["atol"]);
        checks.expect(d.ok, fmt::format("sincos, case {}: differs by {}", c["name"].get<std::string>(), d.largest));
        all.add(d);
      }
    }
  }
  return all;
}

void print_losses(const Fixture& fixture, const std::vector<Way>& ways) {
  const auto& log = fixture.manifest["training"][0]["epochs_log"];
  fmt::print("mean loss    {:>10}", "PyTorch");
  for (const Way& way : ways) fmt::print("  {:>17}", way.name);
  fmt::print("\n");
  for (size_t e = 0; e < log.size(); ++e) {
    fmt::print("epoch {:>2}     {:>10.6f}", e + 1, log[e]["mean_loss"].get<double>());
    for (const Way& way : ways) fmt::print("  {:>17.6f}", way.run.mean_losses[e]);
    fmt::print("\n");
  }
  fmt::print("accuracy     {:>10.2f}", log.back()["accuracy_after"].get<double>());
  for (const Way& way : ways) fmt::print("  {:>17.2f}", way.run.accuracy_after.back());
  fmt::print("\ntime a step  {:>10}", "");
  for (const Way& way : ways) fmt::print("  {:>14.2f} us", way.step_ns / 1000);
  fmt::print("\nspeed-up     {:>10}", "");
  for (const Way& way : ways) fmt::print("  {:>16.2f}x", ways[0].step_ns / way.step_ns);
  fmt::print("\n\n");
}

/// What sinter made of sin(x) + cos(y): operators, guards, kernel, machine code.
void print_kernel() {
  auto g = sinter::compile([](Tensor x, Tensor y) { return x.sin() + y.cos(); }, {.name = "sincos"});
  const Tensor x = sinter::randn({10, 10}), y = sinter::randn({10, 10});
  g(x, y);
  const sinter::Explanation e = sinter::explain(g)(x, y);
  fmt::print("explain(sin(x) + cos(y)):\n{}\n", e.str());
  for (const auto& region : e.regions) {
    for (const auto& [name, text] : region.assembly) {
      const auto lines = static_cast<long>(std::count(text.begin(), text.end(), '\n'));
      size_t end = 0;
      for (int i = 0; i < kShownLines && end != std::string::npos; ++i) end = text.find('\n', end + 1);
      fmt::print("kernel {} ({} lines{}):\n{}\n\n", name, lines,
                 lines > kShownLines ? fmt::format(", the first {}", kShownLines) : "", text.substr(0, end));
      return;
    }
  }
}

int run(const char* folder) {
  const Fixture mymodel(samples::data_folder(folder), "mymodel"), sincos(samples::data_folder(folder), "sincos");
  fmt::print("sinter main job: {}\nbeside PyTorch's own figures ({})\n\n", mymodel.manifest["title"].get<std::string>(),
             mymodel.manifest["made_by"].get<std::string>());
  const std::vector<Way> ways = {eager_way(mymodel), forward_way(mymodel), step_way(mymodel)};
  print_losses(mymodel, ways);

  Checks checks;
  Difference losses, parameters;
  for (const Way& way : ways) {
    losses.add(check_losses(mymodel, way, checks));
    parameters.add(check_parameters(mymodel, way, checks));
  }
  const Difference outputs = check_outputs(mymodel, checks), gradients = check_gradients(mymodel, checks);
  const Difference sums = check_sincos(sincos, checks);
  fmt::print("largest difference to PyTorch\n");
  for (const auto& [what, d] : {std::pair{"losses", losses},
                                {"final parameters", parameters},
                                {"outputs", outputs},
                                {"gradients", gradients},
                                {"sin(x) + cos(y)", sums}}) {
    fmt::print("  {:<18}{:.2e}  {}\n", what, d.largest, d.ok ? "ok" : "TOO LARGE");
  }
  fmt::print("\n");
  print_kernel();
  fmt::print("{} comparisons with PyTorch\n", checks.count());
  if (!checks.why().empty()) {
    fmt::print("main_job FAILED {}\n", checks.why());
    return 1;
  }
  fmt::print("main_job ok max_loss_diff={:.3g} speedup={:.2f}\n", losses.largest, ways[0].step_ns / ways[2].step_ns);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : nullptr);
  } catch (const std::exception& e) {
    fmt::print("main_job FAILED {}\n", e.what());
    return 1;
  }
}

// Modules: registration, traversal, modes, initial values, layers against formulas, printing, cloning.
#include <sinter/nn.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <sstream>
#include "engine/creation.h"

using namespace sinter;
namespace F = sinter::nn::functional;

namespace {

struct NetImpl : nn::Cloneable<NetImpl> {
  NetImpl() { NetImpl::reset(); }
  void reset() override {
    fc1 = register_module("fc1", nn::Linear(4, 3));
    fc2 = register_module("fc2", nn::Linear(nn::LinearOptions(3, 2).bias(false)));
    scale = register_parameter("scale", ones({2}));
    steps = register_buffer("steps", zeros({1}, kLong));
  }
  Tensor forward(const Tensor& x) { return fc2(F::relu(fc1(x))) * scale; }

  nn::Linear fc1{nullptr}, fc2{nullptr};
  Tensor scale, steps;
};
SINTER_MODULE(Net);

std::vector<double> values_of(const Tensor& t) {
  const Tensor flat = t.detach().to(kDouble).contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return a.numel() == 0 ? 0 : (a.to(kDouble) - b.to(kDouble)).abs().max().item<double>();
}

template <class T>
std::string printed(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

}  // namespace

TEST_CASE("parameters, buffers and children by name") {
  Net net;
  CHECK(net->named_parameters().keys() == std::vector<std::string>{"scale", "fc1.weight", "fc1.bias", "fc2.weight"});
  CHECK(net->named_parameters(false).keys() == std::vector<std::string>{"scale"});
  CHECK(net->parameters().size() == 4);
  CHECK(net->parameters()[1].is_same(net->fc1->weight));
  CHECK(net->named_buffers().keys() == std::vector<std::string>{"steps"});
  CHECK(net->buffers().size() == 1);
  CHECK(net->children().size() == 2);
  CHECK(net->modules().size() == 3);
  CHECK(net->modules(false).size() == 2);
  CHECK(net->named_modules().keys() == std::vector<std::string>{"", "fc1", "fc2"});
  for (const Tensor& p : net->parameters()) CHECK((p.requires_grad() && p.is_leaf()));
  CHECK_FALSE(net->steps.requires_grad());
  CHECK_FALSE(net->fc2->bias.defined());
}

TEST_CASE("registration errors") {
  struct Bare : nn::Module {
  } m;
  m.register_parameter("w", ones({1}));
  CHECK_THROWS_WITH(m.register_parameter("w", ones({1})), "Parameter 'w' already defined");
  CHECK_THROWS_AS(m.register_parameter("", ones({1})), Error);
  CHECK_THROWS_AS(m.register_buffer("a.b", ones({1})), Error);
  CHECK_THROWS_AS(m.register_module("l", std::shared_ptr<nn::LinearImpl>()), Error);
  CHECK_THROWS_AS(m.named_parameters()["none"], Error);
  CHECK_THROWS_AS(m.clone(), Error);
  nn::Linear empty{nullptr};
  CHECK(empty.is_empty());
  CHECK_THROWS_AS(empty(ones({1, 1})), Error);
}

TEST_CASE("train, eval, apply, zero_grad") {
  Net net;
  CHECK(net->is_training());
  net->eval();
  CHECK_FALSE(net->fc1->is_training());
  net->train();
  CHECK(net->fc2->is_training());
  std::vector<std::string> names;
  net->apply([&](const std::string& name, nn::Module&) { names.push_back(name); });
  CHECK(names == std::vector<std::string>{"fc1", "fc2", ""});
  int linears = 0;
  net->apply([&](nn::Module& m) { linears += m.as<nn::LinearImpl>() != nullptr; });
  CHECK(linears == 2);

  net(ones({1, 4})).sum().backward();
  REQUIRE(net->scale.grad().defined());
  const Tensor held = net->fc2->weight.grad();
  net->zero_grad();
  CHECK(held.is_same(net->fc2->weight.grad()));
  CHECK(held.abs().sum().item<double>() == 0);
  net->zero_grad(/*set_to_none=*/true);
  CHECK_FALSE(net->fc2->weight.grad().defined());
}

TEST_CASE("to converts in place for every holder of the tensor") {
  Net net;
  const Tensor weight = net->fc1->weight;
  const auto before = values_of(weight);
  net(ones({2, 4})).sum().backward();
  net->to(kDouble);
  CHECK(weight.dtype() == kDouble);
  CHECK(weight.is_same(net->parameters()[1]));
  CHECK(values_of(weight) == before);
  CHECK(weight.requires_grad());
  CHECK(weight.grad().dtype() == kDouble);
  CHECK(net->steps.dtype() == kDouble);  // as LibTorch: buffers too
  CHECK(net(ones({2, 4}, kDouble)).dtype() == kDouble);
  net(ones({2, 4}, kDouble)).sum().backward();
  CHECK_THROWS_AS(net->to(kLong), DtypeError);
}

TEST_CASE("clone is deep") {
  manual_seed(5);
  Net net;
  net->eval();
  auto copy = std::dynamic_pointer_cast<NetImpl>(net->clone());
  REQUIRE(copy);
  CHECK_FALSE(copy->is_training());
  const Tensor x = randn({3, 4});
  CHECK(equal(copy->forward(x), net(x)));
  CHECK(copy->parameters()[1].is_same(copy->fc1->weight));
  CHECK_FALSE(copy->fc1->weight.is_alias_of(net->fc1->weight));
  nn::init::zeros_(copy->fc1->weight);
  CHECK(net->fc1->weight.abs().sum().item<double>() > 0);
  CHECK(copy->fc1->weight.requires_grad());
}

TEST_CASE("initial values have LibTorch's distributions") {
  manual_seed(11);
  nn::Linear fc(64, 256);
  const double bound = 1 / std::sqrt(64.0);
  for (const Tensor& t : {fc->weight, fc->bias}) {
    CHECK(t.max().item<double>() <= bound);
    CHECK(t.min().item<double>() >= -bound);
    CHECK(t.max().item<double>() > 0.9 * bound);
    CHECK(t.std().item<double>() == Approx(bound / std::sqrt(3.0)).epsilon(0.1));
  }
  nn::Embedding embedding(nn::EmbeddingOptions(500, 8).padding_idx(-1));
  CHECK(embedding->weight.std().item<double>() == Approx(1.0).epsilon(0.05));
  CHECK(embedding->weight.select(0, 499).abs().sum().item<double>() == 0);
  nn::LayerNorm norm(nn::LayerNormOptions({3, 4}));
  CHECK(equal(norm->weight, ones({3, 4})));
  CHECK(equal(norm->bias, zeros({3, 4})));
  CHECK(nn::init::xavier_uniform_(empty({100, 50})).abs().max().item<double>() == Approx(std::sqrt(6.0 / 150)).epsilon(0.02));
  CHECK(nn::init::kaiming_normal_(empty({200, 100}), 0, nn::init::kFanOut, nn::init::kReLU).std().item<double>() ==
        Approx(std::sqrt(2.0 / 200)).epsilon(0.05));
  CHECK(nn::init::calculate_fan_in_and_fan_out(empty({6, 5, 2, 2})) == std::pair<int64_t, int64_t>{20, 24});
  CHECK_THROWS_AS(nn::init::xavier_uniform_(empty({4})), ShapeError);
  CHECK(values_of(nn::init::constant_(empty({2}), 1.5)) == std::vector<double>{1.5, 1.5});
}

TEST_CASE("layers compute their formulas") {
  manual_seed(13);
  const Tensor x = randn({5, 4});
  nn::Linear fc(4, 3);
  CHECK(largest_difference(fc(x), matmul(x, fc->weight.t()) + fc->bias) < 1e-6);
  CHECK(equal(nn::ReLU()(x), clamp_min(x, 0)));
  CHECK(largest_difference(nn::GELU()(x), x * 0.5 * (1 + erf(x * std::sqrt(0.5)))) < 1e-6);
  const Tensor inner = (x + 0.044715 * pow(x, 3)) * std::sqrt(2 / M_PI);
  CHECK(largest_difference(nn::GELU(nn::GELUOptions().approximate("tanh"))(x), 0.5 * x * (1 + tanh(inner))) < 1e-6);
  CHECK(equal(nn::Tanh()(x), tanh(x)));
  CHECK(equal(nn::Sigmoid()(x), sigmoid(x)));
  CHECK(largest_difference(nn::Softmax(1)(x).sum(1), ones({5})) < 1e-6);
  CHECK(largest_difference(nn::LogSoftmax(0)(x), nn::Softmax(0)(x).log()) < 1e-5);
  CHECK(F::softmax(arange(3), F::SoftmaxFuncOptions(0).dtype(kDouble)).dtype() == kDouble);
  CHECK(nn::Identity()(x).is_same(x));
  CHECK(nn::Flatten()(zeros({2, 3, 4})).sizes() == IntArrayRef({2, 12}));
  nn::LayerNorm norm(nn::LayerNormOptions({4}));
  const Tensor centred = x - x.mean({1}, true);
  CHECK(largest_difference(norm(x), centred / sqrt(centred.square().mean({1}, true) + 1e-5)) < 1e-5);
  nn::Embedding embedding(7, 2);
  const Tensor rows = tensor({3, 0, 3});
  CHECK(equal(embedding(rows), embedding->weight.index_select(0, rows)));
  CHECK_THROWS_AS(embedding(tensor({7})), IndexError);
  CHECK_THROWS_AS(F::gelu(x, nn::GELUOptions().approximate("fast")), ValueError);
}

TEST_CASE("dropout in training and evaluation") {
  manual_seed(17);
  nn::Dropout dropout(0.25);
  const Tensor x = ones({20000});
  const Tensor y = dropout(x);
  const double kept = y.ne(0).sum().item<double>() / 20000;
  CHECK(kept == Approx(0.75).margin(0.02));
  CHECK(y.max().item<double>() == Approx(1 / 0.75));
  dropout->eval();
  CHECK(dropout(x).is_same(x));
  CHECK(nn::Dropout(1.0)(x).abs().sum().item<double>() == 0);
  CHECK_THROWS_AS(nn::Dropout(1.5), ValueError);
  Tensor z = ones({1000});
  CHECK(F::dropout(z, F::DropoutFuncOptions().p(0.5).inplace(true)).is_same(z));
  CHECK(z.eq(0).any().item<bool>());
}

TEST_CASE("losses and their options") {
  const Tensor logits = tensor({{1.0, 2.0, 0.5}, {0.1, -1.0, 3.0}}, kDouble), target = tensor({1, 0});
  const auto nll = [](double a, double b, double c, double hit) {
    return std::log(std::exp(a) + std::exp(b) + std::exp(c)) - hit;
  };
  const double l0 = nll(1, 2, 0.5, 2), l1 = nll(0.1, -1, 3, 0.1);
  CHECK(nn::CrossEntropyLoss()(logits, target).item<double>() == Approx((l0 + l1) / 2).epsilon(1e-12));
  CHECK(nn::CrossEntropyLoss(nn::CrossEntropyLossOptions().reduction(kSum))(logits, target).item<double>() ==
        Approx(l0 + l1).epsilon(1e-12));
  const auto none = values_of(F::cross_entropy(logits, target, F::CrossEntropyFuncOptions().reduction(kNone)));
  CHECK(none[0] == Approx(l0));
  CHECK(none[1] == Approx(l1));
  const Tensor weight = tensor({2.0, 1.0, 1.0}, kDouble);
  nn::CrossEntropyLoss weighted(nn::CrossEntropyLossOptions().weight(weight));
  CHECK(weighted(logits, target).item<double>() == Approx((l0 + 2 * l1) / 3).epsilon(1e-12));
  CHECK(weighted->named_buffers().keys() == std::vector<std::string>{"weight"});
  CHECK(F::cross_entropy(logits, target, F::CrossEntropyFuncOptions().ignore_index(0)).item<double>() ==
        Approx(l0).epsilon(1e-12));
  CHECK(nn::NLLLoss()(log_softmax(logits, 1), target).item<double>() == Approx((l0 + l1) / 2).epsilon(1e-12));
  CHECK_THROWS_AS(nn::CrossEntropyLoss()(logits, tensor({1, 3})), IndexError);
  const Tensor a = tensor({1.0, 4.0}), b = tensor({0.0, 2.0});
  CHECK(nn::MSELoss()(a, b).item<double>() == 2.5);
  CHECK(nn::MSELoss(kSum)(a, b).item<double>() == 5);
  CHECK(values_of(F::mse_loss(a, b, kNone)) == std::vector<double>{1, 4});
}

TEST_CASE("sequential") {
  manual_seed(19);
  nn::Sequential net(nn::Linear(4, 3), nn::ReLU(), nn::Linear(3, 2));
  const Tensor x = randn({2, 4});
  CHECK(net->size() == 3);
  CHECK(net->named_parameters().keys() == std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias"});
  auto& first = net->at<nn::LinearImpl>(0);
  auto& last = net->at<nn::LinearImpl>(2);
  CHECK(equal(net(x), last.forward(relu(first.forward(x)))));
  CHECK_THROWS_AS(net->at<nn::ReLUImpl>(0), Error);
  CHECK_THROWS_AS(net->at<nn::ReLUImpl>(3), IndexError);
  CHECK_THROWS_AS(nn::Sequential()(x), Error);
  net->push_back("act", nn::Tanh());
  CHECK(net->named_children().keys().back() == "act");
  nn::Sequential named({{"in", Net()}, {"act", nn::Sigmoid()}});
  CHECK(named->named_children().keys() == std::vector<std::string>{"in", "act"});
  CHECK(equal(named(x), sigmoid(named->at<NetImpl>(0).forward(x))));
  nn::Sequential nested(net, nn::Identity());
  CHECK(equal(nested(x), net(x)));
  auto copy = std::dynamic_pointer_cast<nn::SequentialImpl>(net->clone());
  REQUIRE(copy);
  CHECK(equal(copy->forward(x), net(x)));
  CHECK_FALSE(copy->parameters()[0].is_alias_of(net->parameters()[0]));
}

TEST_CASE("rms_norm divides by the root of the mean square") {
  const Tensor x = arange(1, 13, kDouble).view({2, 2, 3}), w = arange(4, 10, kDouble).view({2, 3});
  const Tensor by_hand = x / (x * x).mean({1, 2}, true).add(0.5).sqrt() * w;
  CHECK(allclose(rms_norm(x, {2, 3}, w, 0.5), by_hand));
  nn::RMSNorm norm(nn::RMSNormOptions({2, 3}).eps(0.5));
  norm->to(kDouble);
  CHECK(equal(norm(x), rms_norm(x, {2, 3}, ones({2, 3}, kDouble), 0.5)));
  // Without eps the type's own: zeros stay zeros.
  CHECK(equal(rms_norm(zeros({2, 3}), {3}), zeros({2, 3})));
  CHECK(rms_norm(ones({1, 1}) * 1e-4f, {1}).item<float>() == Approx(1e-4 / std::sqrt(1e-8 + std::ldexp(1.0, -23))));
  CHECK(rms_norm(zeros({0, 3}), {3}).numel() == 0);
  CHECK(printed(nn::RMSNorm(nn::RMSNormOptions({3}))) == "sinter::nn::RMSNorm([3], eps=None, elementwise_affine=true)");
  CHECK_THROWS_WITH(rms_norm(x, {3, 2}), Catch::Contains("rms_norm(double[2, 2, 3]): Given normalized_shape=[3, 2]"));
  CHECK_THROWS_AS(rms_norm(x, {}), ShapeError);
  CHECK_THROWS_AS(rms_norm(x, {3}, w), ShapeError);
  CHECK_THROWS_AS(rms_norm(x.to(kLong), {3}), DtypeError);
}

TEST_CASE("printing") {
  nn::Sequential net(nn::Linear(10, 5), nn::ReLU(), nn::Dropout(0.25), nn::LayerNorm(nn::LayerNormOptions({5})),
                     nn::Embedding(3, 4), nn::Linear(nn::LinearOptions(5, 2).bias(false)), nn::Softmax(1), nn::Flatten(),
                     nn::GELU());
  // LibTorch's text, apart from the namespace.
  CHECK(printed(net) ==
        "sinter::nn::Sequential(\n"
        "  (0): sinter::nn::Linear(in_features=10, out_features=5, bias=true)\n"
        "  (1): sinter::nn::ReLU()\n"
        "  (2): sinter::nn::Dropout(p=0.25, inplace=false)\n"
        "  (3): sinter::nn::LayerNorm([5], eps=1e-05, elementwise_affine=true)\n"
        "  (4): sinter::nn::Embedding(num_embeddings=3, embedding_dim=4)\n"
        "  (5): sinter::nn::Linear(in_features=5, out_features=2, bias=false)\n"
        "  (6): sinter::nn::Softmax(dim=1)\n"
        "  (7): sinter::nn::Flatten(start_dim=1, end_dim=-1)\n"
        "  (8): sinter::nn::GELU()\n"
        ")");
  CHECK(printed(Net()).find("(fc2): sinter::nn::Linear(in_features=3, out_features=2, bias=false)") != std::string::npos);
}

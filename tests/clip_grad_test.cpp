// Clipping of gradients against PyTorch 1.13 (tests/data/clip_grad.json), compiled, and errors.
#include <sinter/sinter.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

using namespace sinter;
using namespace sinter::nn::utils;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
using Parameters = std::vector<Tensor>;

/// The parameters that the program that made clip_grad.json had; the last has no gradient.
Parameters parameters() {
  std::vector<double> p, q;
  for (int i = 0; i < 6; ++i) p.push_back(std::sin(0.7 * i + 1.3));
  for (int i = 0; i < 5; ++i) q.push_back(3 * std::cos(0.5 * i + 0.3));
  Parameters all = {zeros({3, 2}, kDouble), zeros({5}, kDouble), zeros({2}, kDouble)};
  for (const Tensor& t : all) t.requires_grad_();
  all[0].mutable_grad() = tensor(p, kDouble).view({3, 2}).clone();
  all[1].mutable_grad() = tensor(q, kDouble);
  return all;
}

std::vector<double> gradients(const Parameters& all) {
  const Tensor flat = cat({all[0].grad().reshape({-1}), all[1].grad()});
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

const std::vector<std::pair<std::string, std::function<Tensor(const Parameters&)>>> kCalls = {
    {"norm2", [](const Parameters& p) { return clip_grad_norm_(p, 1.5); }},
    {"norm2 of small gradients", [](const Parameters& p) { return clip_grad_norm_(p, 100); }},
    {"norm1", [](const Parameters& p) { return clip_grad_norm_(p, 2, 1); }},
    {"norm3", [](const Parameters& p) { return clip_grad_norm_(p, 0.5, 3); }},
    {"norm inf", [](const Parameters& p) { return clip_grad_norm_(p, 1, kInf); }},
    {"value",
     [](const Parameters& p) {
       clip_grad_value_(p, 0.75);
       return Tensor();
     }},
};

}  // namespace

TEST_CASE("clipped gradients agree with PyTorch, eager and compiled as one graph") {
  std::ifstream in(std::filesystem::path(SINTER_TEST_DATA) / "clip_grad.json");
  REQUIRE(in);
  const auto want = nlohmann::json::parse(in);
  CHECK(want.size() == kCalls.size());
  for (const auto& [name, call] : kCalls) {
    INFO(name);
    const Parameters eager = parameters();
    const Tensor norm = call(eager);
    std::vector<double> got = gradients(eager);
    if (norm.defined()) got.insert(got.begin(), norm.item<double>());
    REQUIRE(got.size() == want.at(name).size());
    for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(want[name][i].get<double>()).epsilon(1e-13));

    auto compiled = compile(call, {.fullgraph = true});
    for (int k = 0; k < 3; ++k) {
      const Parameters p = parameters();
      const Tensor same = compiled(p);
      CHECK(gradients(p) == gradients(eager));
      if (norm.defined()) CHECK(same.item<double>() == norm.item<double>());
    }
    CHECK(compiled.stats().regions_compiled == 1);
  }
}

TEST_CASE("clipping: one tensor, no gradients, norms that are not finite, wrong norms") {
  const Parameters p = parameters();
  CHECK(clip_grad_norm_(p[2], 1.0).item<double>() == 0);
  CHECK(clip_grad_norm_(Parameters{}, 1.0).item<double>() == 0);
  clip_grad_value_(p[1], 0.5);
  CHECK(p[1].grad().abs().amax().item<double>() == 0.5);
  CHECK_THROWS_AS(clip_grad_norm_(p, 1.0, 0), ValueError);

  p[1].grad().fill_(kInf);
  const auto before = gradients(p);
  CHECK_THROWS_WITH(clip_grad_norm_(p, 1.0, 2, true), Catch::Contains("The total norm of order 2 for gradients from"));
  CHECK(gradients(p) == before);
  CHECK(std::isinf(clip_grad_norm_(p, 1.0).item<double>()));
  CHECK(std::isnan(gradients(p).back()));  // infinity times 0, as in PyTorch
  CHECK(gradients(p).front() == 0);
}

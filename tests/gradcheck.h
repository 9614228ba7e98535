// Compares derivatives with finite differences in double precision.
#pragma once
#include <functional>
#include <string>
#include <vector>
#include "engine/autograd/autograd.h"
#include "engine/creation.h"

namespace gradcheck {

using sinter::IntArrayRef;
using sinter::Tensor;
using Function = std::function<Tensor(const std::vector<Tensor>&)>;

/// Numbers in [low, high), the same in every run; `seed` chooses the sequence. Requires grad.
inline Tensor values(IntArrayRef sizes, uint64_t seed, double low = -1.5, double high = 1.5) {
  Tensor t = sinter::empty(sizes, sinter::kDouble);
  double* p = t.data_ptr<double>();
  uint64_t state = seed * 0x9E3779B97F4A7C15ull + 12345;
  for (int64_t i = 0; i < t.numel(); ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    p[i] = low + (high - low) * (static_cast<double>(state >> 11) / 9007199254740992.0);
  }
  return t.requires_grad_();
}

inline double weighted_sum(const Tensor& a, const Tensor& b) {
  const Tensor x = sinter::contiguous(a), y = sinter::contiguous(b);
  const double *p = x.const_data_ptr<double>(), *q = y.const_data_ptr<double>();
  double s = 0;
  for (int64_t i = 0; i < x.numel(); ++i) s += p[i] * q[i];
  return s;
}

/// Empty when all gradients of f at `inputs` (contiguous, double; those that require grad) agree with central
/// differences within atol + rtol * |numeric|; else what differs.
inline std::string check(const Function& f, const std::vector<Tensor>& inputs, double eps = 1e-6, double atol = 1e-5,
                         double rtol = 1e-3) {
  const Tensor out = f(inputs);
  const Tensor weights = values(out.sizes(), 99, 0.5, 1.5).detach();
  std::vector<Tensor> wanted;
  for (const Tensor& t : inputs)
    if (t.requires_grad()) wanted.push_back(t);
  const std::vector<Tensor> grads = sinter::autograd::grad({out}, wanted, {weights}, true, false, true);
  for (size_t k = 0; k < wanted.size(); ++k) {
    const Tensor g = grads[k].defined() ? sinter::contiguous(grads[k]) : sinter::zeros(wanted[k].sizes(), sinter::kDouble);
    if (!(g.sizes() == wanted[k].sizes())) return "input " + std::to_string(k) + ": gradient of another shape";
    for (int64_t i = 0; i < g.numel(); ++i) {
      const sinter::NoGradGuard no_grad;
      double* p = wanted[k].data_ptr<double>() + i;
      const double x = *p;
      *p = x + eps;
      const double up = weighted_sum(f(inputs), weights);
      *p = x - eps;
      const double down = weighted_sum(f(inputs), weights);
      *p = x;
      const double numeric = (up - down) / (2 * eps), analytic = g.const_data_ptr<double>()[i];
      if (!(std::abs(analytic - numeric) <= atol + rtol * std::abs(numeric)))
        return "input " + std::to_string(k) + " element " + std::to_string(i) + ": derivative " + std::to_string(analytic) +
               ", finite difference " + std::to_string(numeric);
    }
  }
  return "";
}

/// The same for the gradients of f themselves.
inline std::string check_second(const Function& f, const std::vector<Tensor>& inputs) {
  std::vector<size_t> wanted;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].requires_grad()) wanted.push_back(i);
  for (const size_t k : wanted) {
    const Function first = [&f, k](const std::vector<Tensor>& in) {
      const sinter::AutoGradMode on(true);
      const Tensor out = f(in);
      const Tensor weights = values(out.sizes(), 7, 0.5, 1.5).detach();
      const Tensor g = sinter::autograd::grad({out}, {in[k]}, {weights}, true, true, true)[0];
      // A gradient that depends on nothing must still be a function of the inputs for the check.
      Tensor sum = g.defined() ? g : sinter::zeros(in[k].sizes(), sinter::kDouble);
      for (const Tensor& t : in)
        if (t.requires_grad()) sum = sum + sinter::sum(t) * 0.0;
      return sum;
    };
    const std::string text = check(first, inputs);
    if (!text.empty()) return "gradient " + std::to_string(k) + ", " + text;
  }
  return "";
}

}  // namespace gradcheck

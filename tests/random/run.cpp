#include "run.h"
#include <cxxabi.h>
#include <limits>
#include <memory>
#include <typeinfo>
#include "statements.h"

namespace sinter::test {

std::vector<int64_t> sizes_for(const Input& in, const Call& call) {
  std::vector<int64_t> sizes = in.sizes;
  for (int64_t& s : sizes)
    if (s == kN) s = std::max<int64_t>(3 + call.grow, 0);
  return sizes;
}

ScalarType dtype_for(const Input& in, bool cast) {
  if (!cast) return in.dtype;
  return in.dtype == kFloat ? kDouble : in.dtype == kBool ? kLong : kFloat;
}

int held_slot(const std::vector<Tensor>& values, int slot) {
  const int n = static_cast<int>(values.size());
  for (int k = 0; k < n; ++k)
    if (const int at = ((slot - k) % n + n) % n; values[static_cast<size_t>(at)].defined()) return at;
  return -1;
}

namespace {

Tensor random_values(std::vector<int64_t> sizes, ScalarType dtype, bool specials) {
  Tensor t = randn(sizes);
  if (dtype == kBool) return t > 0;
  if (dtype == kLong) return (t * 3).to(kLong);
  if (specials) {
    using Limits = std::numeric_limits<float>;
    const float values[] = {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), -0.0f, Limits::denorm_min(), 0.0f};
    float* data = t.data_ptr<float>();
    for (int64_t i = 0, k = 0; i < t.numel(); i += 5, ++k) data[i] = values[k % 6];
  }
  return t.to(dtype);
}

Tensor make_input(const Input& in, const Call& call, ScalarType dtype) {
  std::vector<int64_t> sizes = sizes_for(in, call);
  const bool flat = sizes.empty();
  if (in.form == Input::Transposed && sizes.size() >= 2) {
    std::swap(sizes.front(), sizes.back());
    return random_values(sizes, dtype, in.specials).transpose(0, -1);
  }
  if (in.form == Input::Expanded && !flat) {
    const std::vector<int64_t> full = sizes;
    sizes[0] = 1;
    return random_values(sizes, dtype, in.specials).expand(full);
  }
  if (in.form == Input::Sliced && !flat) {
    sizes[0] += 2;
    return random_values(sizes, dtype, in.specials).slice(0, 1, sizes[0] - 1);
  }
  if (in.form == Input::Strided && !flat) {
    sizes.back() *= 2;
    return random_values(sizes, dtype, in.specials).slice(-1, 0, std::nullopt, 2);
  }
  return random_values(sizes, dtype, in.specials);
}

void alias_inputs(const Program& p, const Call& call, std::vector<Tensor>& inputs) {
  const auto a = static_cast<size_t>(call.alias_of), b = static_cast<size_t>(call.aliased);
  if (call.alias == Call::None || a >= inputs.size() || b >= inputs.size()) return;
  std::vector<int64_t> sizes = sizes_for(p.inputs[a], call);
  if (call.alias == Call::Same || sizes.empty()) {
    inputs[b] = inputs[a];
    return;
  }
  const int64_t n = sizes[0]++;
  const Tensor base = random_values(sizes, inputs[a].dtype(), false);
  inputs[a] = base.slice(0, 0, n);
  inputs[b] = base.slice(0, 1, n + 1);
}

std::string type_name(const std::exception& e) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(typeid(e).name(), nullptr, nullptr, &status), std::free);
  return name ? name.get() : typeid(e).name();
}

}  // namespace

std::vector<Tensor> make_inputs(const Program& p, const Call& call) {
  manual_seed(call.data + 17);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < p.inputs.size(); ++i) {
    const Input& in = p.inputs[i];
    inputs.push_back(make_input(in, call, dtype_for(in, call.cast_input == static_cast<int>(i))));
  }
  alias_inputs(p, call, inputs);
  for (size_t i = 0; i < p.inputs.size(); ++i)
    if ((p.inputs[i].requires_grad != (call.flip_grad == static_cast<int>(i))) && is_floating(inputs[i].dtype())) {
      const Tensor leaf = inputs[i].detach();
      const Tensor old = inputs[i];
      leaf.set_requires_grad(true);
      for (Tensor& t : inputs)
        if (t.is_same(old)) t = leaf;
    }
  return inputs;
}

bool run_step(const Program& p, size_t step, const Call& call, std::vector<Tensor>& values) {
  const Step& s = p.steps[step];
  const int a = held_slot(values, s.a), b = held_slot(values, s.b), c = held_slot(values, s.c);
  if (a < 0) return false;
  // Statements that multiply sizes would soon need all the memory of the machine.
  constexpr int64_t kMostElements = 1 << 13;
  for (const int slot : {a, b, c})
    if (values[static_cast<size_t>(slot)].numel() > kMostElements) return false;
  const auto at = [&](int slot) -> Tensor& { return values[static_cast<size_t>(slot)]; };
  statements()[static_cast<size_t>(s.statement)].run(at(p.result_slot(step)), at(a), at(b), at(c), s.p, s.q, s.s * call.scale);
  if (s.drop_a) at(a).reset();
  return true;
}

void note_error(Run& run, const std::string& where, const std::exception& e) {
  const std::string text = e.what();
  run.errors.push_back(where + ": " + type_name(e) + ": " + text.substr(0, text.find('\n')));
}

void run_backward(Run& run) {
  try {
    Tensor total;
    for (const Tensor& t : run.values)
      if (t.defined() && t.requires_grad()) total = total.defined() ? total + t.to(kDouble).sum() : t.to(kDouble).sum();
    if (total.defined()) total.backward();
  } catch (const Error& e) { note_error(run, "backward", e); }
}

namespace {
/// The modes of a call, for a scope.
class Modes {
 public:
  explicit Modes(const Call& call) : grad_(!call.no_grad && grad_mode()), before_(default_dtype()) {
    if (call.double_default) set_default_dtype(kDouble);
  }
  ~Modes() { set_default_dtype(before_); }

 private:
  AutoGradMode grad_;
  ScalarType before_;
};
}  // namespace

void run_body(const Program& p, const Call& call, Run& run) {
  const Modes modes(call);
  for (size_t i = 0; i < p.steps.size(); ++i) {
    ++run.invalid;  // until it has returned
    bool ran = false;
    if (p.escapes) {
      ran = run_step(p, i, call, run.values);
    } else {
      try {
        ran = run_step(p, i, call, run.values);
      } catch (const std::exception& e) {
        note_error(run, std::to_string(i), e);
        continue;
      }
    }
    --run.invalid;
    run.valid += ran;
  }
  if (p.backward == Backward::Inside) run_backward(run);
  for (size_t i = 0; i < p.steps.size(); ++i)
    if (!p.steps[i].keep) run.values[static_cast<size_t>(p.result_slot(i))].reset();
}

}  // namespace sinter::test

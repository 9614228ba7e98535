// A guard row: a function and the states it is flipped between. check_row() runs it in six forms, {inference, training with
// backward in the compiled call, training with backward in the eager code around it} x {one size, changing sizes}, and compares
// every call with a fresh eager one: values bit for bit, strides, offsets, versions, gradients, requires_grad, which tensors
// share memory, exceptions, random numbers used. Back in a state seen before nothing compiles.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>
#include "engine/autograd/autograd.h"
#include "support.h"

namespace sinter::test {

/// Arguments or results of a row's function.
struct Tensors : std::vector<Tensor> {
  using vector::vector;
  Tensors(Tensor t) { push_back(std::move(t)); }
};

template <class... T>
Tensors tensors(T... t) {
  Tensors all;
  (all.push_back(std::move(t)), ...);
  return all;
}

/// Makes the arguments of one call. In the training forms what it makes requires grad.
class Maker {
 public:
  Maker(int64_t size, bool training, bool writes) : n(size), training_(training), writes_(writes) {}
  const int64_t n;  // the size that changes in the changing forms

  /// Random values; in training a leaf, or the result of an operator on one where the row writes to its arguments.
  Tensor operator()(IntArrayRef sizes, ScalarType t = kFloat) {
    return track(is_floating(t) ? randn(sizes, t) : randint(-9, 9, sizes).to(t));
  }
  Tensor track(const Tensor& values) {
    if (!training_ || !is_floating(values.dtype())) return values;
    leaves.push_back(values.set_requires_grad(true));
    return writes_ ? values.clone() : values;
  }
  /// A leaf that requires grad in every form.
  Tensor leaf(IntArrayRef sizes, ScalarType t = kFloat) {
    leaves.push_back(randn(sizes, t).set_requires_grad(true));
    return leaves.back();
  }
  std::vector<Tensor> leaves;

 private:
  bool training_, writes_;
};

/// One of the situations a row is flipped between.
struct State {
  std::function<Tensors(Maker&)> make;
  std::function<void()> set = [] {};  // what is not an argument: captures, modes; called before every call
};

/// Backward of something that depends on every result that requires grad.
inline void backward_of_results(Tensors&, Tensors& results) {
  Tensor loss;
  for (const Tensor& r : results) {
    if (!r.defined() || !r.requires_grad()) continue;
    const Tensor part = (r * r).sum();
    loss = loss.defined() ? loss + part : part;
  }
  if (loss.defined()) loss.backward();
}

struct Row {
  std::function<Tensors(Tensors&)> f;
  std::vector<State> states = {};
  /// Training: what follows f, by arguments and results; compiled with it, or run eagerly after the compiled f.
  std::function<void(Tensors&, Tensors&)> after = backward_of_results;
  bool writes = false;  // f writes to its arguments
  bool hit = false;     // reuse is allowed: once the first state is known, the others compile nothing
  bool keeps = false;   // results of a call are looked at again after the next one
  // Why a form makes no sense for the row.
  const char* no_inference = nullptr;
  const char* no_training = nullptr;
  const char* no_outside = nullptr;
  const char* no_sweep = nullptr;
  std::function<Tensors()> watch = [] { return Tensors(); };            // captured tensors, compared too
  std::function<std::string()> observe = [] { return std::string(); };  // other traces of a call, compared too
};

// Bodies of State::make and Row::f that are one expression: a list of arguments made by `m`, of results from `v`.
#define ARGS(...) [=]([[maybe_unused]] Maker& m) { return tensors(__VA_ARGS__); }
#define GIVES(...) [=](Tensors& v) { return tensors(__VA_ARGS__); }

/// All that can be seen of a call.
struct Outcome {
  std::string error;
  std::vector<std::string> tensors;  // arguments, results, captured ones, gradients
  std::string sharing, other;
  bool has_grad = false;
  Tensors results;
  std::string sizes;  // of the arguments
};

enum class Backward { kNone, kInside, kOutside };  // of the compiled call

struct Form {
  Backward backward;
  bool changing;
  bool training() const { return backward != Backward::kNone; }
};

inline std::string hex(const std::string& bytes) {
  std::string s(2 * bytes.size(), '0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto c = static_cast<unsigned char>(bytes[i]);
    s[2 * i] = "0123456789abcdef"[c >> 4], s[2 * i + 1] = "0123456789abcdef"[c & 15];
  }
  return s;
}

inline std::string describe_tensor(const Tensor& t) {
  if (!t.defined()) return "undefined";
  std::string s = std::string(dtype_name(t.dtype())) + to_string(t.sizes()) + " strides " + to_string(t.strides()) + " offset " +
                  std::to_string(t.storage_offset()) + " version " + std::to_string(t._version());
  if (t.requires_grad()) s += " requires_grad by " + autograd::grad_fn_name(t);
  if (t.numel() > 1 << 20) return s;  // an argument that stands for its size
  const std::string b = bits(t);
  return s + " = " + hex(b.substr(b.find(':') + 1));
}

/// For each tensor the first one that it shares memory with, and the first that it is.
inline std::string describe_sharing(const std::vector<std::pair<std::string, Tensor>>& all) {
  std::string s;
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Tensor &a = all[i].second, &b = all[j].second;
      if (!a.defined() || !b.defined() || !a.is_alias_of(b)) continue;
      s += all[i].first + (a.is_same(b) ? " is " : " shares memory with ") + all[j].first + "\n";
      if (a.is_same(b)) break;
    }
  }
  return s;
}

inline void add_grads(std::vector<std::pair<std::string, Tensor>>& all, const std::vector<Tensor>& of, const std::string& name) {
  for (size_t i = 0; i < of.size(); ++i)
    if (of[i].defined() && of[i].is_leaf() && of[i].grad().defined())
      all.emplace_back(name + std::to_string(i) + ".grad", of[i].grad());
}

/// One call of `g` in a state.
template <class G>
Outcome run_state(G& g, const Row& row, const State& state, int64_t n, bool training, uint64_t seed) {
  Outcome out;
  manual_seed(seed + 1000);
  state.set();
  const Tensors captured = row.watch();
  for (const Tensor& t : captured)
    if (t.defined() && t.is_leaf()) t.mutable_grad().reset();
  manual_seed(seed);
  Maker maker(n, training, row.writes);
  Tensors args = [&] {
    const AutoGradMode grad_mode(true);
    return state.make(maker);
  }();
  for (const Tensor& t : args) out.sizes += t.defined() ? to_string(t.sizes()) : "undefined";
  try {
    out.results = g(args);
  } catch (const std::exception& e) { out.error = std::string(typeid(e).name()) + ": " + e.what(); } catch (...) {
    out.error = "an exception of another type";
  }
  out.other = row.observe() + " random counter " + std::to_string(Generator::get_default().counter());
  std::vector<std::pair<std::string, Tensor>> all;
  for (size_t i = 0; i < args.size(); ++i) all.emplace_back("argument " + std::to_string(i), args[i]);
  for (size_t i = 0; i < out.results.size(); ++i) all.emplace_back("result " + std::to_string(i), out.results[i]);
  const Tensors watched = row.watch();
  for (size_t i = 0; i < watched.size(); ++i) all.emplace_back("captured " + std::to_string(i), watched[i]);
  add_grads(all, maker.leaves, "leaf ");
  add_grads(all, watched, "captured ");
  add_grads(all, out.results, "result ");
  for (const auto& [name, t] : all) {
    out.tensors.push_back(name + ": " + describe_tensor(t));
    out.has_grad |= name.ends_with(".grad");
  }
  out.sharing = describe_sharing(all);
  return out;
}

/// f and what follows it in training.
inline Tensors forward_and_backward(const Row& row, Tensors& args) {
  Tensors results = row.f(args);
  row.after(args, results);
  return results;
}

/// A row in one form.
class RowRun {
 public:
  RowRun(const Row& row, Form form)
      : row_(row),
        form_(form),
        sizes_(form.changing ? std::vector<int64_t>{4, 6, 9} : std::vector<int64_t>{4}),
        eager_(form.training() ? [this](Tensors& args) { return forward_and_backward(row_, args); } : row.f),
        g_(compile(form.backward == Backward::kInside ? eager_ : row.f)) {}

  void run() {
    INFO((form_.backward == Backward::kNone     ? "inference, "
          : form_.backward == Backward::kInside ? "training, backward inside, "
                                                : "training, backward outside, ")
         << (form_.changing ? "changing sizes" : "one size"));
    sinter::reset();  // limits of the process are no part of a row
    int64_t first = 0;
    for (size_t s = 0; s < row_.states.size(); ++s) {
      for (int i = 0; i < 3; ++i) each_size(s);
      if (s == 0) first = all_compiles();
    }
    if (row_.hit) REQUIRE(all_compiles() == first);
    back_and_forth();
    if (form_.changing) other_size();
    row_.states[0].set();
    if (form_.training()) REQUIRE(saw_grad_);
    if (form_.backward == Backward::kOutside) REQUIRE(g_.backward_stats().replays > 0);  // not eager all the time
    if (form_.changing) REQUIRE(saw_sizes_.size() > 1);
  }

 private:
  using Function = std::function<Tensors(Tensors&)>;

  Tensors compiled(Tensors& args) {
    Tensors results = g_(args);
    if (form_.backward == Backward::kOutside) row_.after(args, results);
    return results;
  }
  int64_t all_compiles() const { return compiles(g_) + g_.backward_stats().regions_compiled; }
  void require_no_fallback() const {
    REQUIRE(g_.stats().eager_fallbacks == 0);
    REQUIRE(g_.backward_stats().eager_fallbacks == 0);
  }

  void agree(size_t s, int64_t n) {
    INFO("state " << s << ", size " << n << ", call " << ++calls_);
    const State& state = row_.states[s];
    const Outcome eager = run_state(eager_, row_, state, n, form_.training(), calls_);
    const auto call = [this](Tensors& args) { return compiled(args); };
    const Outcome got = run_state(call, row_, state, n, form_.training(), calls_);
    REQUIRE(got.error == eager.error);
    REQUIRE(got.tensors == eager.tensors);
    REQUIRE(got.sharing == eager.sharing);
    REQUIRE(got.other == eager.other);
    for (size_t i = 0; i < kept_.size(); ++i) REQUIRE(bits(kept_[i]) == kept_bits_[i]);
    if (row_.keeps) kept_ = got.results, kept_bits_.clear();
    for (const Tensor& t : kept_) kept_bits_.push_back(bits(t));
    saw_grad_ |= eager.has_grad;
    if (s == 0 && std::find(saw_sizes_.begin(), saw_sizes_.end(), eager.sizes) == saw_sizes_.end())
      saw_sizes_.push_back(eager.sizes);
  }
  void each_size(size_t s) {
    for (int64_t n : sizes_) agree(s, n);
  }
  void back_and_forth() {
    const auto seen = all_compiles();
    for (int i = 0; i < 3; ++i)
      for (size_t s = 0; s < row_.states.size(); ++s) each_size(s);
    REQUIRE(all_compiles() == seen);
    require_no_fallback();
  }
  /// A size never seen: the generalised regions serve it, at most its kernels are new.
  void other_size() {
    for (int i = 0; i < 3; ++i)
      for (size_t s = 0; s < row_.states.size(); ++s) agree(s, 11);
    require_no_fallback();
  }

  const Row& row_;
  const Form form_;
  const std::vector<int64_t> sizes_;
  const Function eager_;
  Compiled<Function> g_;
  Tensors kept_;
  std::vector<std::string> kept_bits_, saw_sizes_;
  uint64_t calls_ = 0;
  bool saw_grad_ = false;
};

inline void check_row(const Row& row) {
  for (const Backward backward : {Backward::kNone, Backward::kInside, Backward::kOutside}) {
    if (backward == Backward::kNone ? row.no_inference != nullptr : row.no_training != nullptr) continue;
    if (backward == Backward::kOutside && row.no_outside) continue;
    for (const bool changing : {false, true})
      if (!(changing && row.no_sweep)) RowRun(row, {backward, changing}).run();
  }
}

/// The first state with each of the others: all at once would reach the limit of variants.
inline void check_pairs(const Row& row) {
  for (size_t i = 1; i < row.states.size(); ++i) {
    Row pair = row;
    pair.states = {row.states[0], row.states[i]};
    INFO("states 0 and " << i);
    check_row(pair);
  }
}

}  // namespace sinter::test

#include "reduce.h"
#include "../child_process.h"
#include "generate.h"

namespace sinter::test {

namespace {

class Reducer {
 public:
  Reducer(Program p, const std::function<bool(const Program&)>& fails) : p_(std::move(p)), fails_(fails) {}

  Program run() {
    while (fewer_steps() | fewer_calls() | fewer_inputs() | plainer_program() | plainer_steps() | plainer_inputs()) {}
    return std::move(p_);
  }

 private:
  template <class Edit>
  bool attempt(Edit edit) {
    Program q = p_;
    edit(q);
    if (!fails_(q)) return false;
    p_ = std::move(q);
    return true;
  }
  template <class T>
  bool set(T Program::*field, T value) {
    return p_.*field != value && attempt([&](Program& q) { q.*field = value; });
  }

  bool fewer_steps() {
    bool smaller = false;
    for (size_t width = std::max<size_t>(p_.steps.size() / 2, 1); width > 0; width /= 2)
      for (size_t end = p_.steps.size(); end >= width; end = std::min(end - 1, p_.steps.size()))
        smaller |= attempt([&](Program& q) {
          for (size_t k = 0; k < width; ++k) remove_step(q, end - 1 - k);
        });
    return smaller;
  }
  bool fewer_calls() {
    bool smaller = false;
    for (size_t i = p_.calls.size(); i-- > 0 && p_.calls.size() > 1;)
      smaller |= attempt([&](Program& q) { q.calls.erase(q.calls.begin() + static_cast<std::ptrdiff_t>(i)); });
    for (size_t i = 0; i < p_.calls.size(); ++i) {
      const Call plain{.data = p_.calls[i].data};
      smaller |= !(p_.calls[i] == plain) && attempt([&](Program& q) { q.calls[i] = plain; });
      smaller |= p_.calls[i].scale != 1 && attempt([&](Program& q) { q.calls[i].scale = 1; });
    }
    return smaller;
  }
  bool fewer_inputs() {
    bool smaller = false;
    for (size_t i = p_.inputs.size(); i-- > 1;) smaller |= attempt([&](Program& q) { remove_input(q, static_cast<int>(i)); });
    return smaller;
  }
  static void remove_input(Program& q, int gone) {
    q.inputs.erase(q.inputs.begin() + gone);
    for (Step& s : q.steps)
      for (int* slot : {&s.a, &s.b, &s.c}) *slot -= *slot >= gone && *slot > 0;
    for (Call& c : q.calls)
      for (int* at : {&c.cast_input, &c.alias_of, &c.aliased, &c.flip_grad}) *at -= *at >= gone && *at > 0;
  }
  bool plainer_program() { return set(&Program::backward, Backward::None) | set(&Program::escapes, false); }
  bool plainer_steps() {
    bool plainer = false;
    for (size_t i = 0; i < p_.steps.size(); ++i) {
      const Step s = p_.steps[i];
      if (s.drop_a) plainer |= attempt([&](Program& q) { q.steps[i].drop_a = false; });
      if (!s.keep) plainer |= attempt([&](Program& q) { q.steps[i].keep = true; });
      if (s.p != 0) plainer |= attempt([&](Program& q) { q.steps[i].p = 0; });
      if (s.q != 0) plainer |= attempt([&](Program& q) { q.steps[i].q = 0; });
      if (s.s != 1) plainer |= attempt([&](Program& q) { q.steps[i].s = 1; });
      for (int Step::*slot : {&Step::a, &Step::b, &Step::c})
        if (s.*slot != 0) plainer |= attempt([&](Program& q) { q.steps[i].*slot = 0; });
    }
    return plainer;
  }
  bool plainer_inputs() {
    bool plainer = false;
    for (size_t i = 0; i < p_.inputs.size(); ++i) {
      const Input in = p_.inputs[i];
      if (in.form != Input::Contiguous) plainer |= attempt([&](Program& q) { q.inputs[i].form = Input::Contiguous; });
      if (in.dtype != kFloat) plainer |= attempt([&](Program& q) { q.inputs[i].dtype = kFloat; });
      if (in.requires_grad) plainer |= attempt([&](Program& q) { q.inputs[i].requires_grad = false; });
      if (in.specials) plainer |= attempt([&](Program& q) { q.inputs[i].specials = false; });
      for (size_t d = 0; d < in.sizes.size(); ++d)
        for (const int64_t size : {int64_t{1}, int64_t{2}})
          if (p_.inputs[i].sizes[d] < 0 || p_.inputs[i].sizes[d] > size)
            plainer |= attempt([&](Program& q) { q.inputs[i].sizes[d] = size; });
    }
    return plainer;
  }

  Program p_;
  const std::function<bool(const Program&)>& fails_;
};

}  // namespace

Program reduce(Program p, const std::function<bool(const Program&)>& fails) { return Reducer(std::move(p), fails).run(); }

bool fails_in_child(const Program& p, const Config& config) {
  return fails_in_child([&] {
    Rates rates;
    return check_program(p, config, rates).empty();
  });
}

}  // namespace sinter::test

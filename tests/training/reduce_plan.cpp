#include "reduce_plan.h"
#include "../child_process.h"

namespace sinter::test {

namespace {

class PlanReducer {
 public:
  PlanReducer(Plan plan, const Config& config) : p_(std::move(plan)), config_(config) {}

  Plan run() {
    while (fewer_layers() | plainer_layers() | plainer_options() | fewer_steps()) {}
    return std::move(p_);
  }

 private:
  template <class Edit>
  bool attempt(Edit edit) {
    Plan q = p_;
    edit(q);
    if (!fails_in_child(q, config_)) return false;
    p_ = std::move(q);
    return true;
  }
  template <class T>
  bool set(T Plan::*field, const T& value) {
    return p_.*field != value && attempt([&](Plan& q) { q.*field = value; });
  }

  bool fewer_layers() {
    bool smaller = false;
    for (size_t i = p_.layers.size(); i-- > 0;)
      smaller |= attempt([&](Plan& q) { q.layers.erase(q.layers.begin() + static_cast<std::ptrdiff_t>(i)); });
    return smaller;
  }
  bool plainer_layers() {
    bool plainer = false;
    for (size_t i = 0; i < p_.layers.size(); ++i) {
      const LayerPlan l = p_.layers[i];
      if (l.every != 1) plainer |= attempt([&](Plan& q) { q.layers[i].every = 1; });
      if (l.frozen) plainer |= attempt([&](Plan& q) { q.layers[i].frozen = false; });
      if (l.k > 1) plainer |= attempt([&](Plan& q) { q.layers[i].k = 1; });
      if (l.s != 0.5) plainer |= attempt([&](Plan& q) { q.layers[i].s = 0.5; });
    }
    return plainer;
  }
  bool plainer_options() {
    const Plan plain;
    bool plainer = set(&Plan::tokens, int64_t{0}) | set(&Plan::dtype, kFloat) | set(&Plan::transposed, false) |
                   set(&Plan::input_grad, false) | set(&Plan::slice_inside, false) | set(&Plan::split, false) |
                   set(&Plan::pool, 0) | set(&Plan::other_loss, -1) | set(&Plan::penalty, false) |
                   set(&Plan::input_penalty, false) | set(&Plan::scale, 0.0) | set(&Plan::hook, false) | set(&Plan::flat, false) |
                   set(&Plan::flat_grads, false) | set(&Plan::closure, false) | set(&Plan::thread, false) |
                   set(&Plan::schedule, Schedule::None) | set(&Plan::clip, Clip::None) | set(&Plan::micro, int64_t{1}) |
                   set(&Plan::zero, Zero::ToNone) | set(&Plan::zero_last, false) | set(&Plan::only_step, true) |
                   set(&Plan::average, 0.0) | set(&Plan::evaluate, int64_t{0}) | set(&Plan::reload, -1) | set(&Plan::thaw, -1) |
                   set(&Plan::freeze, -1) | set(&Plan::forget, -1);
    if (p_.groups.size() > 1) plainer |= attempt([](Plan& q) { q.groups.resize(1); });
    for (size_t g = 0; g < p_.groups.size(); ++g)
      for (double GroupPlan::*field : {&GroupPlan::momentum, &GroupPlan::dampening, &GroupPlan::weight_decay})
        if (p_.groups[g].*field != 0) plainer |= attempt([&](Plan& q) { q.groups[g].*field = 0; });
    for (size_t g = 0; g < p_.groups.size(); ++g)
      if (p_.groups[g].flag) plainer |= attempt([&](Plan& q) { q.groups[g].flag = false; });
    if (p_.optim != Optim::SGD) plainer |= attempt([](Plan& q) { q.optim = Optim::SGD, q.groups[0] = GroupPlan{}; });
    return plainer;
  }
  bool fewer_steps() {
    bool smaller = false;
    while (p_.steps > 1 && attempt([](Plan& q) { --q.steps; })) smaller = true;
    for (int64_t Plan::*field : {&Plan::features, &Plan::outputs, &Plan::batch})
      for (const int64_t size : {int64_t{1}, int64_t{2}, int64_t{3}})
        if (p_.*field > size && attempt([&](Plan& q) { q.*field = size; })) {
          smaller = true;
          break;
        }
    return smaller | (p_.rows > p_.batch && attempt([](Plan& q) { q.rows = q.batch; }));
  }

  Plan p_;
  const Config& config_;
};

}  // namespace

Plan reduce(Plan plan, const Config& config) { return PlanReducer(std::move(plan), config).run(); }

bool fails_in_child(const Plan& plan, const Config& config) {
  return fails_in_child([&] {
    TrainingRates rates;
    return compare_ways(plan, config, rates).empty();
  });
}

}  // namespace sinter::test

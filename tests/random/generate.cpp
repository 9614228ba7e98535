#include "generate.h"
#include "run.h"
#include "statements.h"

namespace sinter::test {

namespace {

constexpr int kTries = 16;            // for a statement that fits
constexpr int64_t kMostNumel = 4096;  // of a result

constexpr int64_t kShapes[][7] = {{kN, 4},
                                  {kN, 4},
                                  {4, kN},
                                  {4},
                                  {kN},
                                  {kN, 4},
                                  {1, 4},
                                  {kN, 1},
                                  {2, kN, 4},
                                  {1},
                                  {},
                                  {17, 5},
                                  {kN, 33},
                                  {kN, 1, 4},
                                  {kN, kN},
                                  {0, 4},
                                  {4, 1},
                                  {2, 4, kN},
                                  {66},
                                  {1, 1},
                                  {kN, 130},
                                  {3, 1100},
                                  {1100, 3},
                                  {1300},
                                  {2, 1, kN, 2, 1},
                                  {1, 2, 1, kN, 1, 2, 2}};
constexpr int kRanks[] = {2, 2, 2, 1, 1, 2, 2, 2, 3, 1, 0, 2, 2, 3, 2, 2, 2, 3, 1, 2, 2, 2, 2, 1, 5, 7};
constexpr size_t kCommonShapes = 6;

class Generator {
 public:
  explicit Generator(Choices& c) : c_(c) {}

  Program run() {
    choose_kind_of_program();
    choose_inputs();
    for (const int64_t grow : {0, 2}) {
      Sim& sim = sims_[grow != 0];
      sim.call.grow = grow;
      sim.values = make_inputs(p_, sim.call);
    }
    for (const Tensor& t : sims_[0].values) roots_.push_back(t);
    const size_t length = 3 + c_.pick(28);
    while (p_.steps.size() < length && !c_.exhausted() && add_step()) {}
    if (p_.backward != Backward::None && !c_.one_in(4)) make_differentiable();
    choose_calls();
    return std::move(p_);
  }

 private:
  struct Sim {
    Call call;
    std::vector<Tensor> values;
  };

  void choose_kind_of_program() {
    const uint64_t b = c_.pick(16);
    p_.backward = b < 3 ? Backward::Inside : b == 3 ? Backward::Outside : Backward::None;
    p_.escapes = c_.one_in(12);
    through_views_ = c_.one_in(14);
    other_share_ = c_.one_in(3) ? 14 : 4;
  }

  void choose_inputs() {
    const size_t n = 2 + c_.pick(3);
    for (size_t i = 0; i < n; ++i) {
      Input in;
      const size_t shape = c_.pick(c_.one_in(3) ? std::size(kShapes) : kCommonShapes);
      in.sizes.assign(kShapes[shape], kShapes[shape] + kRanks[shape]);
      static constexpr ScalarType types[] = {kFloat, kFloat, kFloat, kFloat, kFloat, kFloat, kDouble, kDouble, kLong, kBool};
      in.dtype = types[c_.pick(std::size(types))];
      in.form = c_.one_in(3) ? static_cast<Input::Form>(1 + c_.pick(4)) : Input::Contiguous;
      in.requires_grad = p_.backward != Backward::None && is_floating(in.dtype) && !c_.one_in(3);
      in.specials = c_.one_in(8);
      p_.inputs.push_back(in);
    }
  }

  Kind choose_kind() {
    const uint64_t at = c_.pick(100);
    uint64_t sum = 2;
    if (at < sum) return Kind::Refused;
    if (at < (sum += other_share_)) return Kind::Other;
    if (at < (sum += 27)) return Kind::View;
    if (at < (sum += through_views_ ? 10 : 21)) return Kind::Inplace;
    if (through_views_ && at < (sum += 12)) return Kind::ThroughView;
    return Kind::Compute;
  }

  int choose_statement(Kind kind) {
    int total = 0;
    for (const Statement& s : statements()) total += s.kind == kind ? s.weight : 0;
    auto at = static_cast<int>(c_.pick(static_cast<uint64_t>(total)));
    for (size_t i = 0; i < statements().size(); ++i)
      if (statements()[i].kind == kind && (at -= statements()[i].weight) < 0) return static_cast<int>(i);
    return 0;
  }

  int choose_operand() {
    const auto n = static_cast<uint64_t>(p_.result_slot(p_.steps.size()));
    return static_cast<int>(c_.one_in(2) ? n - 1 - c_.pick(std::min<uint64_t>(n, 4)) : c_.pick(n));
  }

  const Tensor* value(int slot) const {
    if (slot >= static_cast<int>(sims_[0].values.size())) return nullptr;
    const Tensor& t = sims_[0].values[static_cast<size_t>(slot)];
    return t.defined() ? &t : nullptr;
  }

  Step draw(Kind kind) {
    Step s;
    s.statement = choose_statement(kind);
    s.a = choose_operand();
    s.b = choose_operand();
    s.c = choose_operand();
    s.p = static_cast<int64_t>(c_.pick(8));
    s.q = static_cast<int64_t>(c_.pick(8));
    s.s = static_cast<double>(static_cast<int64_t>(c_.pick(17)) - 8) / 4;
    s.keep = !c_.one_in(2);
    return s;
  }

  /// What is written is a whole tensor, and nothing reads other elements of it meanwhile.
  bool writes_whole(const Step& s) const {
    const Tensor* x = value(s.a);
    if (x == nullptr) return false;
    for (const Tensor& root : roots_)
      if (root.is_alias_of(*x)) {
        const bool same = root.sizes() == x->sizes() && root.strides() == x->strides();
        const bool flat = root.is_contiguous() && x->is_contiguous() && root.numel() == x->numel();
        if ((!same && !flat) || root.storage_offset() != x->storage_offset()) return false;
        break;
      }
    for (const int other : {s.b, s.c})
      if (const Tensor* y = value(other); y && y->is_alias_of(*x) && !(y->sizes() == x->sizes() && y->strides() == x->strides()))
        return false;
    return true;
  }

  /// Runs the last step in both simulations; the one that fails more easily first, so that the other is mostly unchanged.
  bool fits() {
    const size_t step = p_.steps.size() - 1;
    for (Sim* sim : {&sims_[1], &sims_[0]}) {
      sim->values.resize(static_cast<size_t>(p_.result_slot(step)) + 1);
      Tensor& out = sim->values.back();
      bool fine = true;
      try {
        fine = run_step(p_, step, sim->call, sim->values);
      } catch (const std::exception&) { fine = false; }
      if (out.defined() && out.numel() > kMostNumel) fine = false;
      if (!fine) {
        for (Sim& s : sims_) s.values.resize(static_cast<size_t>(p_.result_slot(step)));
        return false;
      }
    }
    const Tensor& out = sims_[0].values.back();
    bool is_root = out.defined();
    for (const Tensor& root : roots_) is_root = is_root && !root.is_alias_of(out);
    if (is_root) roots_.push_back(out);
    return true;
  }

  void add_refused() {
    p_.steps.push_back(draw(Kind::Refused));
    for (Sim& sim : sims_) {
      sim.values.resize(static_cast<size_t>(p_.result_slot(p_.steps.size())));
      try {
        run_step(p_, p_.steps.size() - 1, sim.call, sim.values);
      } catch (const std::exception&) {}
    }
  }

  bool add_step() {
    const Kind kind = choose_kind();
    if (kind == Kind::Refused) return add_refused(), true;
    for (int i = 0; i < kTries && !c_.exhausted(); ++i) {
      const Step s = draw(kind);
      const bool drops = c_.one_in(6);
      if (value(s.a) == nullptr || (kind == Kind::Inplace && !through_views_ && !writes_whole(s))) continue;
      p_.steps.push_back(s);
      if (!fits()) {
        p_.steps.pop_back();
        continue;
      }
      if (drops && s.a != 0) {
        p_.steps.back().drop_a = true;
        for (Sim& sim : sims_) sim.values[static_cast<size_t>(s.a)].reset();
      }
      return true;
    }
    return !c_.exhausted();  // nothing fits just now: another kind may
  }

  bool backward_works() const {
    Run run = run_program(p_, Call{}, make_inputs(p_, Call{}), [this](Run& r, const Call& call) { run_body(p_, call, r); });
    for (const std::string& e : run.errors)
      if (e.starts_with("backward")) return false;
    return true;
  }

  /// Takes out writes to what the backward pass needs.
  void make_differentiable() {
    for (size_t i = p_.steps.size(); i-- > 0 && !backward_works();) {
      const Kind kind = statements()[static_cast<size_t>(p_.steps[i].statement)].kind;
      if (kind == Kind::Inplace || kind == Kind::ThroughView || kind == Kind::Other) remove_step(p_, i);
    }
  }

  void twice(Call call) {
    call.data = p_.calls.size();
    p_.calls.push_back(call);
    call.data = p_.calls.size();
    p_.calls.push_back(call);
  }

  void choose_calls() {
    p_.calls = {{}, {}, {.scale = 1.5, .data = 1}};
    const uint64_t size = c_.pick(20);
    if (size < 11) twice({.grow = 2});
    if (size == 11 || size == 12) twice({.grow = -2});
    if (size == 13) twice({.grow = -3});
    const auto n = static_cast<uint64_t>(p_.inputs.size());
    const uint64_t more = c_.pick(12);
    if (more < 2) twice({.cast_input = static_cast<int>(c_.pick(n))});
    if (more == 2 || more == 3) {
      Call call{.alias = more == 2 ? Call::Same : Call::Overlap};
      call.alias_of = static_cast<int>(c_.pick(n));
      call.aliased = static_cast<int>((static_cast<uint64_t>(call.alias_of) + 1 + c_.pick(n - 1)) % n);
      for (int k = 0; k < static_cast<int>(n); ++k)  // of the same sizes, if there is such an input
        if (k != call.alias_of && p_.inputs[static_cast<size_t>(k)].sizes == p_.inputs[static_cast<size_t>(call.alias_of)].sizes)
          call.aliased = k;
      twice(call);
    }
    if (more == 4 || more == 5) twice({.reuse = true});
    if (more == 6 && c_.one_in(2)) twice({.no_grad = true});
    if (more == 7 && c_.one_in(2)) twice({.double_default = true});
    if (more == 8) twice({.flip_grad = static_cast<int>(c_.pick(n))});
    p_.calls.push_back({.data = 9});
  }

  Choices& c_;
  Program p_;
  Sim sims_[2];
  std::vector<Tensor> roots_;  // the first tensor seen of each storage
  bool through_views_ = false;
  uint64_t other_share_ = 4;
};

}  // namespace

void remove_step(Program& p, size_t step) {
  const int gone = p.result_slot(step), instead = p.steps[step].a;
  p.steps.erase(p.steps.begin() + static_cast<std::ptrdiff_t>(step));
  for (size_t i = step; i < p.steps.size(); ++i)
    for (int* slot : {&p.steps[i].a, &p.steps[i].b, &p.steps[i].c}) {
      if (*slot == gone) *slot = instead;
      else if (*slot > gone) --*slot;
    }
}

Program generate_program(Choices& choices) { return Generator(choices).run(); }

Program random_program(uint64_t seed) {
  SeedChoices choices(seed);
  Program p = generate_program(choices);
  p.seed = seed;
  return p;
}

}  // namespace sinter::test

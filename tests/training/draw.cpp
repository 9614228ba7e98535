#include "draw.h"
#include "world.h"

namespace sinter::test {

namespace {

class Drawer {
 public:
  explicit Drawer(Choices& c) : c_(c) {}

  Plan run(uint64_t seed) {
    p_.seed = seed;
    draw_data();
    draw_layers();
    draw_loss();
    draw_optimizer();
    draw_loop();
    make_trainable();
    return std::move(p_);
  }

 private:
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(c_.pick(static_cast<uint64_t>(high - low + 1)));
  }
  template <class Rows>
  int row(const Rows& rows) {
    int total = 0;
    for (const auto& r : rows) total += r.weight;
    int at = static_cast<int>(c_.pick(static_cast<uint64_t>(total))), i = 0;
    while ((at -= rows[static_cast<size_t>(i)].weight) >= 0) ++i;
    return i;
  }

  void draw_data() {
    big_ = c_.one_in(20);
    p_.batch = c_.one_in(6) ? 1 : between(2, big_ ? 40 : 9);
    const int64_t batches = between(1, 3);
    p_.rows = p_.batch * batches + (c_.one_in(3) ? p_.batch / 2 : 0);
    p_.features = between(1, big_ ? 150 : 20);
    p_.outputs = between(2, 7);
    if (c_.one_in(5)) p_.tokens = between(1, 4);
    if (c_.one_in(7)) p_.dtype = kDouble;
    p_.transposed = c_.one_in(7);
    p_.input_grad = c_.one_in(6);
    p_.slice_inside = c_.one_in(4);
  }

  void draw_layers() {
    const int64_t n = between(1, c_.one_in(20) ? 30 : 10);
    for (int64_t i = 0; i < n; ++i) {
      LayerPlan l;
      l.kind = row(layer_rows());
      l.k = between(0, !c_.one_in(4) ? 12 : big_ ? 200 : 40);
      l.s = static_cast<double>(between(1, 9)) / 10;
      if (c_.one_in(12)) l.every = 2;
      l.frozen = c_.one_in(8);
      p_.layers.push_back(l);
    }
    p_.pool = static_cast<int>(c_.pick(3));
    p_.split = c_.one_in(4);
    p_.flat = c_.one_in(10);
  }

  void draw_loss() {
    p_.loss = row(loss_rows());
    if (c_.one_in(6)) p_.other_loss = row(loss_rows());
    p_.penalty = c_.one_in(8);
    p_.input_penalty = p_.input_grad && c_.one_in(4);
    if (c_.one_in(5)) p_.scale = 128;
    p_.thread = c_.one_in(12);
    p_.hook = c_.one_in(8);
  }

  void draw_optimizer() {
    p_.optim = static_cast<Optim>(c_.pick(6));
    p_.groups.resize(c_.one_in(3) ? 2 : 1);
    const bool betas = p_.optim == Optim::Adam || p_.optim == Optim::AdamW || p_.optim == Optim::NAdam;
    for (GroupPlan& g : p_.groups) {
      g.lr = static_cast<double>(between(1, 20)) / 400;
      if (betas || !c_.one_in(2)) g.momentum = static_cast<double>(between(5, 9)) / 10;
      if (c_.one_in(3)) g.dampening = static_cast<double>(between(1, 5)) / 10;
      if (c_.one_in(3)) g.weight_decay = static_cast<double>(between(1, 5)) / 100;
      g.flag = c_.one_in(3);
    }
    if (!c_.one_in(2)) p_.schedule = static_cast<Schedule>(1 + c_.pick(7));
    if (c_.one_in(3)) p_.clip = static_cast<Clip>(1 + c_.pick(4));
  }

  void draw_loop() {
    p_.steps = static_cast<int>(between(4, 10));
    if (c_.one_in(5)) p_.micro = between(2, 3);
    p_.zero = c_.one_in(8) ? Zero::Never : c_.one_in(2) ? Zero::ToZero : Zero::ToNone;
    p_.flat_grads = c_.one_in(10);
    p_.closure = c_.one_in(10);
    p_.zero_last = c_.one_in(4);
    p_.only_step = !c_.one_in(3);
    if (c_.one_in(5)) p_.average = 0.9;
    if (c_.one_in(4)) p_.evaluate = between(1, 3);
    const auto once = [&] { return c_.one_in(10) ? static_cast<int>(between(1, p_.steps - 1)) : -1; };
    p_.reload = once();
    p_.thaw = once();
    p_.freeze = once();
    p_.forget = once();
  }

  bool trains() const {
    World world(p_, Way::Eager);
    for (int i = 0; i < p_.steps && !world.failed(); ++i) world.step(i);
    return !world.failed();
  }

  /// Takes out what throws, mostly writes to what the backward pass needs; one program in some keeps it.
  void make_trainable() {
    if (c_.one_in(40)) return;
    for (size_t i = p_.layers.size(); i-- > 0 && !trains();) {
      const std::string name = layer_rows()[static_cast<size_t>(p_.layers[i].kind)].name;
      if (name.find('_') != std::string::npos || name.find("in place") != std::string::npos || name == "statement")
        p_.layers.erase(p_.layers.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (trains()) return;
    p_.input_penalty = false;
    while (!p_.layers.empty() && !trains()) p_.layers.pop_back();
  }

  Choices& c_;
  bool big_ = false;  // kernels run through many vectors
  Plan p_;
};

}  // namespace

Plan random_plan(uint64_t seed) {
  SeedChoices choices(seed);
  return Drawer(choices).run(seed);
}

}  // namespace sinter::test

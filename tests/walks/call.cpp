#include "call.h"
#include <xmmintrin.h>
#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <typeinfo>
#include "engine/autograd/autograd.h"
#include "engine/autograd/node.h"
#include "frontend/nn/set_data.h"
#include "runtime/cpu.h"

namespace sinter::test {
namespace {

template <class F>
struct Finally {
  explicit Finally(F f) : run(std::move(f)) {}
  ~Finally() { run(); }
  F run;
};

constexpr unsigned P = 1, V = 2;

struct Block {
  int weight;
  unsigned flags;
  const char *name, *code;
};
const Block kBlocks[] = {
#define BLOCK(weight, flags, name, ...) {weight, flags, #name, #__VA_ARGS__},
#include "blocks.inc"
#undef BLOCK
};
constexpr int kBlockCount = static_cast<int>(std::size(kBlocks));

void run_block(Call& f, int block) {
  World& w = f.w;
  Tensor& h = f.h;
  const Tensor &x = f.x, &y = f.y;
  (void)y;
  int kind = 0;
#define NET (*w.net)
#define OUT(t) f.out.push_back(t)
#define BLOCK(weight, flags, name, ...) \
  if (kind++ == block) {                \
    __VA_ARGS__;                        \
    return;                             \
  }
#include "blocks.inc"
#undef BLOCK
#undef OUT
#undef NET
}

/// A thread that lives as long as the process, for calls from another thread.
class Worker {
 public:
  void run(const std::function<void()>& f) {
    std::unique_lock lock(mutex_);
    if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
    job_ = &f;
    wake_.notify_all();
    wake_.wait(lock, [&] { return job_ == nullptr; });
  }
  ~Worker() {
    if (!thread_.joinable()) return;
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      wake_.notify_all();
    }
    thread_.join();
  }

 private:
  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || job_ != nullptr; });
      if (stop_) return;
      (*job_)();
      job_ = nullptr;
      wake_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
  const std::function<void()>* job_ = nullptr;
  bool stop_ = false;
};

/// Grad mode, default dtype and floating-point state of the calling thread, put back at the end.
class Ambience {
 public:
  explicit Ambience(const World& w) : word_(ambient::word), mxcsr_(_mm_getcsr()) {
    if (w.value(Knob::no_grad)) ambient::word &= ~ambient::kGradMode;
    if (w.value(Knob::default_double)) set_default_dtype(kDouble);
    const auto flush = static_cast<unsigned>(w.value(Knob::flush_subnormals));
    set_ = (mxcsr_ & ~0x3fu) | static_cast<unsigned>(w.value(Knob::rounding)) << 13 | (flush & 1 ? 0x8000u : 0u) |
           (flush & 2 ? 0x40u : 0u);
    _mm_setcsr(set_);
    inside_ = ambient::word;
  }
  ~Ambience() {
    _mm_setcsr(mxcsr_);
    ambient::word = word_;
  }
  /// Empty when the call left everything as it was.
  std::string changed() const {
    if (ambient::word != inside_) return fmt::format("the ambient word is {:x}, was {:x}", ambient::word, inside_);
    if ((_mm_getcsr() ^ set_) & ~0x3fu) return fmt::format("MXCSR is {:x}, was {:x}", _mm_getcsr(), set_);
    if (current_frame != nullptr) return "a frame was left open";
    return {};
  }

 private:
  uint32_t word_, inside_ = 0;
  unsigned mxcsr_, set_ = 0;
};

/// Process-wide settings of a call.
class Settings {
 public:
  explicit Settings(const World& w) : isa_(isa()), stance_(stance()) {
    if (const int v = w.value(Knob::isa_cap)) set_isa_cap(std::min(isa_, v == 1 ? Isa::Avx2 : Isa::None));
    if (const int v = w.value(Knob::stance); v != 0 && !w.fullgraph())
      set_stance(v == 1 ? Stance::EagerOnRecompile : Stance::ForceEager);
  }
  ~Settings() {
    set_isa_cap(isa_);
    set_stance(stance_);
  }

 private:
  Isa isa_;
  Stance stance_;
};

}  // namespace

int block_count() { return kBlockCount; }
const char* block_name(int block) { return kBlocks[block].name; }
const char* block_code(int block) { return kBlocks[block].code; }
int block_weight(int block) { return kBlocks[block].weight; }
bool is_pure(const std::vector<uint8_t>& blocks) {
  return std::all_of(blocks.begin(), blocks.end(), [](uint8_t b) { return kBlocks[b].flags & P; });
}
bool branches_on_values(const std::vector<uint8_t>& blocks) {
  return std::any_of(blocks.begin(), blocks.end(), [](uint8_t b) { return kBlocks[b].flags & V; });
}

std::string describe(const std::exception& e) { return std::string(typeid(e).name()) + ": " + e.what(); }

Tensor Call::features(const Tensor& t) const {
  const Tensor u = t.to(w.net->first->weight.dtype());
  if (u.dim() > 0 && u.size(-1) == 6) return u;
  // At most so many rows: a value that goes through here in each call would be six times larger each time, without end.
  const int64_t rows = std::min<int64_t>(u.numel(), 200);
  return u.reshape({-1, 1}).slice(0, 0, rows).expand({rows, 6});
}

void Call::point() const {
  if (++w.points == w.value(Knob::throw_at)) throw HostError(fmt::format("thrown at point {}", w.points));
}

double Call::first_number(const Tensor& t) const {
  const Tensor u = t.detach().to(kDouble).reshape({-1});
  return u.numel() ? *u.const_data_ptr<double>() : 1.0;
}

std::vector<Tensor> Call::nested() const {
  if (w.depth > 0) return {};
  const Deeper deeper(w.depth);
  return w.compiled ? (*w.functions[1])(x, y) : Body{&w, 1}(x, y);
}

void Call::second_derivative() {
  const Tensor g = autograd::grad({loss}, {w.net->first->weight}, {}, true, true, true)[0];
  if (g.defined() && g.requires_grad()) g.square().sum().backward();
}

std::vector<Tensor> Body::operator()(const Tensor& x, const Tensor& y) const {
  Call f{*world, x, y, x, {}};
  for (const uint8_t b : world->blocks[static_cast<size_t>(which)]) {
    run_block(f, b);
    f.point();
  }
  f.out.push_back(f.h);
  return std::move(f.out);
}

std::string call_in_ambience(World& w, int which, const Tensor& x, const Tensor& y, std::vector<Tensor>& results) {
  static Worker worker;
  std::string error;
  const std::function<void()> job = [&] {
    const Ambience ambience(w);
    t_walk_value = w.per_thread;
    g_walk_global = w.global;
    w.points = 0;
    try {
      results = w.compiled ? (*w.functions[which])(x, y) : Body{&w, which}(x, y);
    } catch (const std::exception& e) { error = describe(e); }
    if (const std::string c = ambience.changed(); !c.empty()) error += "after the call " + c;
  };
  // Backward runs nodes of unrelated branches by sequence number, which each thread counts for itself (as in PyTorch): without
  // one count for all, what a failing backward has done before it fails depends on what a thread did in the other world.
  uint64_t sequence = autograd::next_seq(0);
  const std::function<void()> elsewhere = [&] {
    (void)autograd::next_seq(sequence);
    job();
    sequence = autograd::next_seq(0);
  };
  const Settings settings(w);
  switch (w.value(Knob::other_thread)) {
    case 0:
      job();
      break;
    case 1:
      worker.run(elsewhere);
      break;
    default:
      std::thread(elsewhere).join();
  }
  (void)autograd::next_seq(sequence);
  return error;
}

}  // namespace sinter::test

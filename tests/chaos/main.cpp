// Many threads at once: calls of shared and own compiled functions, values handed from frame to frame, training, evictions,
// resets and module changes. `chaos [--seconds N] [--threads N]`. Each result is compared with the eager one.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <vector>
#include "codegen/kernel.h"
#include "engine/program/cache.h"
#include "frontend/nn/set_data.h"
#include "frontend/sinter/sinter.h"
#include "tests/bits.h"

using namespace sinter;
using test::same_bits;

namespace {

using Clock = std::chrono::steady_clock;

Tensor body(const Tensor& x, int depth) {
  Tensor y = x * 2;
  for (int i = 0; i < depth; ++i) y = (y.sin() + static_cast<double>(i)).tanh();
  return y + x.sum(0);
}

/// What all threads share.
struct World {
  std::atomic<bool> stop{false};
  std::atomic<int64_t> calls{0}, wrong{0}, resets{0}, evictions{0}, handed{0}, errors{0};
  Compiled<Tensor (*)(const Tensor&, int)> shared = compile(&body, {.name = "shared"});
  std::mutex mutex;
  std::vector<std::pair<Tensor, Tensor>> handed_over;  // a value pending in its maker's frame, and what it must be
  std::mutex net_mutex;
  nn::Linear net{6, 4};

  void check(bool ok) {
    ++calls;
    if (!ok) ++wrong;
  }
};

using Act = void (*)(World&, std::mt19937&);

void call_shared(World& w, std::mt19937& r) {
  const Tensor x = randn({static_cast<int64_t>(1 + r() % 5), static_cast<int64_t>(1 + r() % 9)});
  const int depth = static_cast<int>(r() % 6);
  w.check(same_bits(body(x, depth), w.shared(x, depth)));
}

void call_own(World& w, std::mt19937& r) {
  const int depth = static_cast<int>(r() % 4);
  auto own = compile([depth](const Tensor& x) { return body(x, depth).relu(); });
  for (int i = 0; i < 3; ++i) {
    const Tensor x = randn({3, static_cast<int64_t>(1 + r() % 40)});
    w.check(same_bits(body(x, depth).relu(), own(x)));
  }
}

void train(World& w, std::mt19937& r) {
  const auto steps = [&](bool compiled) {
    manual_seed(5);
    nn::Linear fc(5, 3);
    {
      NoGradGuard guard;
      fc->weight.fill_(0.25), fc->bias.fill_(0.5);
    }
    optim::SGD sgd({fc->weight, fc->bias}, 0.1);
    const auto step = [&](const Tensor& x) {
      Tensor loss = (fc(x) * fc(x)).mean();
      sgd.zero_grad();
      loss.backward();
      sgd.step();
      return loss;
    };
    auto g = compile(step);
    Tensor x = ones({4, 5}), last;
    for (int i = 0; i < 3; ++i) last = compiled ? g(x) : step(x);
    return cat({fc->weight.detach().reshape({-1}), last.detach().reshape({1})}, 0);
  };
  (void)r;
  w.check(same_bits(steps(false), steps(true)));
}

/// A value that is pending in this thread's frame while other threads may take it.
void hand_over(World& w, std::mt19937& r) {
  const Tensor x = full({8}, static_cast<double>(r() % 5));
  const Tensor want = x.exp() * 3;
  auto g = compile([&](const Tensor& t) {
    Tensor h = t.exp() * 3;
    {
      const std::lock_guard lock(w.mutex);
      if (w.handed_over.size() < 32) w.handed_over.emplace_back(h, want);
    }
    Tensor after = h + 1;
    return after;
  });
  w.check(same_bits(want + 1, g(x)));
}

void take_over(World& w, std::mt19937& r) {
  std::pair<Tensor, Tensor> p;
  {
    const std::lock_guard lock(w.mutex);
    if (w.handed_over.empty()) return;
    p = std::move(w.handed_over.back());
    w.handed_over.pop_back();
  }
  ++w.handed;
  if (r() % 2) return w.check(same_bits(p.first, p.second));
  auto g = compile([](const Tensor& t) { return t.sin() - 1; });
  w.check(same_bits(p.second.sin() - 1, g(p.first)));
}

void reset_something(World& w, std::mt19937& r) {
  ++w.resets;
  if (r() % 4 == 0) sinter::reset();
  else w.shared.reset();
}

void evict_something(World& w, std::mt19937&) { w.evictions += ProgramCache::get().evict_one(); }

/// Parameters replaced and run under the user's own lock, as one must with a module that others change.
void change_module(World& w, std::mt19937& r) {
  const std::lock_guard lock(w.net_mutex);
  NoGradGuard guard;
  if (r() % 2) detail::set_data(w.net->weight, randn({4, 6}));
  else w.net->bias.add_(1);
  auto g = compile(w.net);
  const Tensor x = randn({2, 6});
  w.check(same_bits(w.net(x), g(x)));
}

void throw_inside(World& w, std::mt19937&) {
  auto g = compile([](const Tensor& x) -> Tensor {
    Tensor y = x + 1;
    (void)y.mm(x.reshape({-1}));  // throws
    return y;
  });
  try {
    (void)g(ones({2, 3}));
    w.check(false);
  } catch (const Error&) { w.check(true); }
}

constexpr Act kActs[] = {call_shared, call_shared, call_shared,     call_own,        train,         hand_over,   hand_over,
                         take_over,   take_over,   reset_something, evict_something, change_module, throw_inside};

void run_thread(World& w, unsigned seed) {
  std::mt19937 r(seed);
  while (!w.stop) {
    try {
      kActs[r() % std::size(kActs)](w, r);
    } catch (const std::exception& e) {
      ++w.errors;
      std::printf("unexpected: %s\n", e.what());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  int seconds = 3, threads = 16;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--seconds")) seconds = std::atoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--threads")) threads = std::atoi(argv[i + 1]);
  }
  World w;
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) all.emplace_back(run_thread, std::ref(w), static_cast<unsigned>(t + 1));
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  w.stop = true;
  for (auto& t : all) t.join();
  w.handed_over.clear();
  std::printf(
      "%d threads, %d s: %lld calls, %lld wrong, %lld unexpected errors; %lld values from other threads' frames, %lld resets, "
      "%lld "
      "evictions\n",
      threads, seconds, static_cast<long long>(w.calls), static_cast<long long>(w.wrong), static_cast<long long>(w.errors),
      static_cast<long long>(w.handed), static_cast<long long>(w.resets), static_cast<long long>(w.evictions));
  return w.wrong == 0 && w.errors == 0 && w.calls > 0 && w.handed > 0 ? 0 : 1;
}

// The process around compiled functions: fork, small stacks, threads that end, static destruction, libraries that are unloaded.
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <atomic>
#include <optional>
#include <thread>
#include "child_process.h"
#include "codegen/kernel.h"
#include "engine/program/program.h"
#include "runtime/allocator.h"
#include "runtime/log.h"
#include "small_stack.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

Tensor ramp(IntArrayRef sizes) { return arange(numel_of(sizes)).to(kFloat).view(sizes) * 0.25 - 1; }
Tensor body(const Tensor& x) { return relu(x * 2 + 1).exp() - x; }

struct NetImpl : nn::Module {
  nn::Linear fc1{nullptr}, fc2{nullptr};
  NetImpl() {
    fc1 = register_module("fc1", nn::Linear(10, 5));
    fc2 = register_module("fc2", nn::Linear(5, 2));
  }
  Tensor forward(const Tensor& x) { return fc2(relu(fc1(x))); }
};
SINTER_MODULE(Net);

/// Trains a small model from the same start, eager or compiled; the bits of its parameters.
std::string train(bool compiled) {
  manual_seed(5);
  Net net;
  optim::Adam adam(net->parameters(), optim::AdamOptions(0.05));
  const Tensor x = ramp({6, 10}), y = tensor({0, 1, 1, 0, 1, 0});
  auto step = [&] {
    const Tensor loss = nn::functional::cross_entropy(net(x), y);
    adam.zero_grad();
    loss.backward();
    adam.step();
  };
  auto wrapped = compile(step);
  for (int i = 0; i < 3; ++i) compiled ? wrapped() : step();
  std::string all;
  for (const Tensor& p : net->parameters()) all += bits(p);
  return all;
}
bool trains_right() { return train(true) == train(false); }

/// Compiles something that nobody has compiled before, and checks it.
bool compiles_right() {
  static std::atomic<int> width{1};
  const Tensor x = ramp({3, ++width});
  auto f = compile([](const Tensor& t) { return softmax(t.sin() * 2 + t, 1); });
  return same_bits(f(x), f.function()(x)) && same_bits(f(x), f.function()(x));
}

/// stderr goes nowhere while it lives.
class Quiet {
 public:
  Quiet() : before_(dup(2)) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, 2);
    ::close(null);
  }
  ~Quiet() {
    dup2(before_, 2);
    ::close(before_);
  }

 private:
  int before_;
};

}  // namespace

// -- fork

TEST_CASE("fork: what the parent compiled is right in the child", "[process]") {
  auto f = compile(body);
  const Tensor x = ramp({4, 5});
  const std::string want = bits(body(x));
  CHECK(bits(f(x)) == want);
  CHECK(in_child([&] { return bits(f(x)) == want && compiles_right() && trains_right() && compiles_right(); }) == "");
  CHECK(bits(f(x)) == want);
  CHECK(compiles_right());
}

TEST_CASE("fork in the middle of a compiled call", "[process]") {
  std::string child = "not run";
  auto f = compile([&](const Tensor& x) {
    const Tensor h = x * 2;
    child = in_child([&] { return bits(h + 1) == bits(x * 2 + 1) && trains_right(); });
    return h + 1;
  });
  const Tensor x = ramp({7});
  for (int i = 0; i < 2; ++i) {
    CHECK(same_bits(f(x), x * 2 + 1));
    CHECK(child == "");
  }
}

TEST_CASE("fork after another thread has closed the open region", "[process]") {
  const auto twice = [](const Tensor& t) { return t * 2; };
  std::string child;
  auto f = compile([&](const Tensor& x, const Tensor& z) {
    const Tensor h = twice(x);
    std::thread([&] { (void)h.const_data_ptr<float>(); }).join();  // its results are still to be given away
    child = in_child([&] {
      const Tensor same_event = twice(z);
      return bits(same_event) == bits(z + z) && bits(h) == bits(x + x);
    });
    return h;
  });
  for (int i = 0; i < 2; ++i) {
    const Tensor x = ramp({2, 3}), z = x - 7;
    CHECK(bits(f(x, z)) == bits(x + x));
    CHECK(child == "");
  }
}

TEST_CASE("several threads fork at once", "[process]") {
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      auto f = compile(body);
      const Tensor x = ramp({3, 4});
      for (int turn = 0; turn < 40; ++turn) {
        (void)f(x);
        if (!in_child([&] { return bits(f(x)) == bits(body(x)); }).empty()) ++failures;
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(failures == 0);
}

// A lock that another thread holds at the fork would never be free in the child.
TEST_CASE("fork while other threads compile, allocate, draw, log and train", "[process]") {
  const Quiet quiet;
  set_logs("all");
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  const auto repeat = [&](std::function<bool()> f) {
    threads.emplace_back([&, f] {
      while (!stop) wrong += !f();
    });
  };
  auto shared = compile(body);
  repeat(compiles_right);
  repeat([&] { return shared(ramp({2, 3})).numel() == 6; });
  repeat([] { return empty({1 << 16}).numel() == 1 << 16; });
  repeat([] { return rand({4}).numel() == 4; });
  repeat([] { return warn("busy"), true; });
  repeat([] { return sinter::reset(), true; });
  std::string failure;
  for (int i = 0; i < 12 && failure.empty(); ++i)
    failure = in_child([&] {
      return compiles_right() && empty({1 << 16}).numel() == 1 << 16 && rand({4}).numel() == 4 && (warn("child"), true) &&
             same_bits(shared(ramp({2, 3})), body(ramp({2, 3}))) && (sinter::reset(), trains_right());
    });
  stop = true;
  for (std::thread& t : threads) t.join();
  set_logs("");
  CHECK(failure == "");
  CHECK(wrong == 0);
}

/// A gradient was being accumulated by another thread: its mark means nothing in the child.
TEST_CASE("fork while another thread accumulates into the same leaf", "[process]") {
  const Tensor w = ramp({64, 64}).requires_grad_();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) (w * 2).sum().backward();
  });
  std::string failure;
  for (int i = 0; i < 12 && failure.empty(); ++i)
    failure = in_child([&] {
      w.mutable_grad().reset();
      (w * 2).sum().backward();
      return w.grad().sum().item<float>() == 2 * 64 * 64;
    });
  stop = true;
  other.join();
  CHECK(failure == "");
}

// -- small stacks

TEST_CASE("64 KiB stacks: compile, replay, train", "[process]") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // their frames are several times as large
  constexpr size_t kStack = 1 << 20;
#else
  constexpr size_t kStack = 64 << 10;
#endif
  bool ok = false;
  const auto used = [&](const char* what, auto f) {
    ok = false;
    clear_program_cache();
    const size_t bytes = on_small_stack(kStack, [&] { ok = f(); });
    INFO(what);
    CHECK(ok);
    WARN(fmt::format("{}: {} bytes of stack", what, bytes));
  };
  const Tensor x = ramp({4, 5});
  used("eager", [&] { return body(x).numel() == 20; });
  used("compile and replay", [] { return compiles_right(); });
  used("train", [] { return trains_right(); });
  used("all logs", [] {
    set_log_sink([](std::string_view) {});
    set_logs("all");
    const bool right = compiles_right();
    set_logs("");
    set_log_sink(nullptr);
    return right;
  });
  used("errors and text", [&] {
    try {
      (void)x.view({3});
    } catch (const ShapeError&) { return !x.str().empty(); }
    return false;
  });
  used("gemm", [] { return matmul(ramp({70, 90}), ramp({90, 80})).numel() == 5600; });
  used("larger gemm", [] { return matmul(ramp({150, 160}), ramp({160, 170})).numel() == 150 * 170; });
  used("sort of everything", [&] {
    auto f = compile([](const Tensor& t) {
      return cat({layer_norm(t, {5}), t.exp(), log_softmax(t, 0), t.index_select(0, tensor({1, 0}))}, 0) + t.var({0}, true);
    });
    return explain(f)(x).op_count > 0 && same_bits(f(x), f.function()(x));
  });
}

// -- threads that end

TEST_CASE("a compiled function outlives the threads that called it, and the other way round", "[process]") {
  auto f = compile(body);
  const Tensor x = ramp({3, 4});
  Tensor kept;
  std::thread([&] { kept = f(x); }).join();
  CHECK(same_bits(kept, body(x)));
  std::thread([&] { kept.reset(); }).join();
  CHECK(same_bits(f(x), body(x)));
  std::thread([] {  // dropped by its thread before that ends, and by the end of the thread
    auto inner = compile(body);
    (void)inner(ramp({2}));
    thread_local std::optional<decltype(inner)> at_the_end;
    at_the_end = inner;
  })
      .join();
  std::optional<decltype(f)> dropped(compile(body));
  std::atomic<int> state{0};
  std::thread other([&] {
    const Tensor before = (*dropped)(x);
    state = 1;
    while (state != 2) std::this_thread::yield();
    if (!same_bits(before, body(x))) state = 3;
  });
  while (state != 1) std::this_thread::yield();
  dropped.reset();
  state = 2;
  other.join();
  CHECK(state == 2);
}

// A value that a thread never asked for, in a frame left by ending the thread.
TEST_CASE("pthread_exit in the middle of a compiled call", "[process]") {
  const Tensor x = ramp({3, 4});
  Tensor kept;
  auto f = compile([&](const Tensor& t, bool leave) {
    kept = t * 3;
    if (leave) pthread_exit(nullptr);
    return kept + 1;
  });
  for (int i = 0; i < 2; ++i) {
    std::thread([&] { f(x, true); }).join();
    CHECK(same_bits(kept, x * 3));
    CHECK(same_bits(f(x, false), x * 3 + 1));
  }
}

// -- static destruction

namespace {

/// Uses the library from its destructor; wrong answers end the process with another status.
struct Late {
  Tensor x = ramp({3, 4}), w = ramp({3}).requires_grad_();
  decltype(compile(body)) f = compile(body);
  ~Late() {
    const Tensor got = f(x), want = body(x);
    (w * w).sum().backward();
    {
      const NoGradGuard no_grad;
      w.mul_(2);
    }
    if (!same_bits(got, want) || !trains_right()) _exit(77);
  }
};

}  // namespace

TEST_CASE("static and thread_local objects use the library from their destructors", "[process]") {
  const auto in_new_thread = [] {
    std::thread([] {
      thread_local std::optional<Late> first;  // known to the thread before any object of the engine: destroyed after them
      if (first) return;
      thread_local std::optional<Late> second;
      first.emplace();
      second.emplace();
      (void)first->f(first->x);
      (void)second->f(second->x);
    }).join();
    return true;
  };
  CHECK(in_child(
            [] {
              static Late last;  // destroyed after the objects of the main thread
              thread_local Late of_the_thread;
              (void)of_the_thread.f(of_the_thread.x);
              return same_bits(last.f(last.x), body(last.x));
            },
            true) == "");
  CHECK(in_child(in_new_thread, true) == "");
  CHECK(in_new_thread());
}

// -- unloading

TEST_CASE("dlclose of a library that holds a compiled function", "[process]") {
  const auto path = std::string(SINTER_PLUGIN);
  auto here = compile([](const Tensor& x, void (*apply)(const Tensor&, Tensor&)) {
    Tensor out;
    apply(x, out);
    return out + 1;
  });
  const Tensor x = ramp({4, 3}), w = ramp({6}).requires_grad_();
  Tensor out, loss;
  Explanation explanation;
  set_log_sink([](std::string_view) {});
  set_logs("all");
  for (int round = 0; round < 2; ++round) {
    void* plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    INFO((plugin ? "" : dlerror()));
    REQUIRE(plugin != nullptr);
    const auto call = reinterpret_cast<void (*)(const Tensor&, Tensor&)>(dlsym(plugin, "plugin_call"));
    const auto apply = reinterpret_cast<void (*)(const Tensor&, Tensor&)>(dlsym(plugin, "plugin_apply"));
    const auto make_loss = reinterpret_cast<void (*)(const Tensor&, Tensor&)>(dlsym(plugin, "plugin_loss"));
    const auto tell = reinterpret_cast<void (*)(const Tensor&, Explanation&)>(dlsym(plugin, "plugin_explain"));
    for (int i = 0; i < 2; ++i) {
      call(x, out);
      CHECK(same_bits(out, relu(x * 2 + 1)));
      CHECK(same_bits(here(x, apply), tanh(x - 3) * 2 + 1));
    }
    make_loss(w, loss);
    tell(x, explanation);
    dlclose(plugin);
    REQUIRE(dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD) == nullptr);  // it is really gone
    // What was recorded and kept there names places in a file name that is not there any more.
    CHECK(explanation.str().find("process_plugin.cpp") != std::string::npos);
    loss.backward();
    CHECK(same_bits(w.grad(), 2 * w + w.exp()));
    w.mutable_grad().reset();
    loss.reset();
    CHECK(explain(here)(x, [](const Tensor& t, Tensor& o) { o = tanh(t - 4) * 2; }).op_count == 4);
    CHECK(same_bits(here(x + 1, [](const Tensor& t, Tensor& o) { o = tanh(t - 3) * 2; }), tanh(x + 1 - 3) * 2 + 1));
    CHECK(compiles_right());
  }
  here.reset();
  sinter::reset();
  set_logs("");
  set_log_sink(nullptr);
  CHECK(trains_right());
}

// -- what is kept

TEST_CASE("nothing keeps the last call's results or inputs", "[process]") {
  int freed = 0;
  static float memory[6] = {1, 2, 3, 4, 5, 6};
  auto f = compile([](const Tensor& a) { return std::pair(a * 2, (a + 1).view({3, 2})); });
  for (int i = 0; i < 3; ++i) {
    Tensor x = from_blob_with_deleter(
        memory, {2, 3}, {3, 1}, [&](void*) { ++freed; }, {}, Loc::current());
    auto [y, v] = f(x);
    CHECK(x.impl()->count() == 1);
    CHECK(y.impl()->count() == 1);
    CHECK(v.impl()->count() == 1);
    x.reset();
    CHECK(freed == i + 1);
  }
  const auto in_use = [] {
    release_cached_memory();
    const auto info = mallinfo2();
    return static_cast<int64_t>(info.uordblks + info.hblkhd);
  };
  constexpr int64_t kMany = 3 << 20, kBytes = kMany * 4;
  auto g = compile([](const Tensor& a) { return a * 2; });
  const Tensor big = zeros({kMany});
  for (int i = 0; i < 3; ++i) {
    const int64_t before = in_use();
    Tensor result = g(big);
    CHECK(in_use() >= before + kBytes);
    result.reset();
    CHECK(in_use() < before + kBytes / 2);
  }
}

TEST_CASE("dropping a compiled function frees its code and its records", "[process]") {
  sinter::reset();
  const size_t code_before = codegen::code_stats().code_bytes;
  const Tensor x = ramp({5, 6});
  auto captured = std::make_shared<Tensor>(ramp({6}));
  const std::weak_ptr<Tensor> seen = captured;
  std::weak_ptr<Tries> tries;
  {
    auto f = compile([captured](const Tensor& t) { return softmax(t * 3 + *captured, 1).log() + 7; });
    captured.reset();
    (void)f(x);
    tries = f.state().tries();
    CHECK(codegen::code_stats().code_bytes > code_before);
    CHECK_FALSE(tries.expired());
  }
  CHECK(seen.expired());
  CHECK(tries.expired());
  CHECK(codegen::code_stats().code_bytes == code_before);
}

// SINTER_VERIFY: a wrong program is noticed, reported, replaced by the eager result and not run again.
#include "engine/frame/verify.h"
#include <malloc.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include "codegen/kernel.h"
#include "engine/frame/trie.h"
#include "runtime/log.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

// Copies of inputs are aligned allocations: counted here, and refused on demand.
static std::atomic<int64_t> aligned_blocks{0}, aligned_taken{0};
static std::atomic<bool> refuse_aligned{false};
void* operator new(size_t n, std::align_val_t a) {
  if (refuse_aligned) throw std::bad_alloc();
  ++aligned_blocks;
  ++aligned_taken;
  return std::aligned_alloc(static_cast<size_t>(a),
                            (n + static_cast<size_t>(a) - 1) / static_cast<size_t>(a) * static_cast<size_t>(a));
}
void operator delete(void* p, std::align_val_t) noexcept {
  --aligned_blocks;
  std::free(p);
}
void operator delete(void* p, size_t, std::align_val_t a) noexcept { operator delete(p, a); }

namespace {

// The environment is read once: before anything looks.
const std::filesystem::path debug_dir = [] {
  const auto dir = std::filesystem::temp_directory_path() / ("sinter_verify_" + std::to_string(getpid()));
  setenv("SINTER_DEBUG_DIR", dir.c_str(), 1);
  return dir;
}();

std::string warnings;

/// While it lives every n-th region is verified and warnings are collected.
struct Verifying {
  explicit Verifying(int64_t n = 1) {
    verify_interval = n;
    warnings.clear();
    set_log_sink([](std::string_view line) { warnings += std::string(line) + "\n"; });
  }
  ~Verifying() {
    verify_interval = 0;
    set_log_sink(nullptr);
    std::filesystem::remove_all(debug_dir);
  }
};

/// A program that computes something else than its region says.
class Wrong final : public Program {
 public:
  using Harm = std::function<void(const Launch&)>;
  Wrong(std::shared_ptr<const Program> right, Harm harm) : right_(std::move(right)), harm_(std::move(harm)) {
    output_bytes = right_->output_bytes;
    graph = right_->graph;
  }
  void run(const Launch& launch) const override {
    right_->run(launch);
    harm_(launch);
  }
  std::string str() const override { return right_->str(); }
  std::vector<ProgramStep> steps() const override { return right_->steps(); }
  std::vector<std::pair<std::string, std::string>> assembly() const override { return right_->assembly(); }

 private:
  std::shared_ptr<const Program> right_;
  Harm harm_;
};

/// Replaces the programs of a compiled function's n-th region, or of all.
template <class C>
void sabotage(C& compiled, const Wrong::Harm& harm, int32_t region = -1) {
  for (const Leaf* leaf : compiled.state().tries()->leaves())
    for (ProgramEntry* e = leaf->programs; e != nullptr && (region < 0 || leaf->number == region); e = e->next)
      if (auto right = e->program.share()) e->program.set(std::make_shared<Wrong>(std::move(right), harm));
}

void flip_output(const Program::Launch& l, size_t element, int bit) {
  static_cast<uint32_t*>(l.outputs[0]->data)[element] ^= 1u << bit;
}

bool said(const std::string& text) {
  UNSCOPED_INFO("looked for: " << text << "\nin: " << warnings);
  return warnings.find(text) != std::string::npos;
}

bool jit() { return codegen::jit_available(); }

}  // namespace

TEST_CASE("one flipped bit is noticed, reported and replaced; from then on the region is interpreted") {
  if (!jit()) return;
  const Verifying verifying;
  int calls = 0;
  auto f = [&](const Tensor& x) {
    ++calls;
    return (x.sin() + x.cos()) * 2.0;
  };
  auto g = compile(f, {.name = "flipped"});
  const Tensor x = randn({3, 4});
  const Tensor expected = g(x).clone();
  REQUIRE(g.stats().verified == 1);
  REQUIRE(g.stats().verify_failures == 0);
  sabotage(g, [](const Program::Launch& l) { flip_output(l, 7, 0); });
  REQUIRE(same_bits(g(x), expected));
  REQUIRE(g.stats().verified == 2);
  REQUIRE(g.stats().verify_failures == 1);
  REQUIRE(said("region 0 of flipped (verify_test.cpp:"));
  REQUIRE(said("the result of mul (verify_test.cpp:"));
  REQUIRE(said("1 of 12 elements differ, the first at [1, 3]"));
  REQUIRE(said("1 ULP apart"));
  REQUIRE(said("cos(i0 f32[3, 4])"));  // the region's listing
  for (int i = 0; i < 3; ++i) REQUIRE(same_bits(g(x), expected));
  REQUIRE(g.stats().verify_failures == 1);
  REQUIRE(g.stats().interpreted == 3);
  REQUIRE(calls == 5);  // the user's code runs once a call, whatever is verified
}

TEST_CASE("the reproducer has the region, the scalars and the inputs from before the run") {
  if (!jit()) return;
  const Verifying verifying;
  auto g = compile(
      [](Tensor& x, const Tensor& y) {
        x.add_(1.5);
        return x * y.t();
      },
      {.name = "reproduced"});
  Tensor x = ones({2, 3});
  const Tensor y = arange(6).to(kFloat).reshape({3, 2});
  g(x, y);
  x.fill_(4.0);
  sabotage(g, [](const Program::Launch& l) { flip_output(l, 0, 3); });
  g(x, y);
  const auto dir = debug_dir / "reproduced_r0_verify";
  REQUIRE(said(dir.string()));
  const auto file = [&](const char* name) {
    std::ifstream in(dir / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const float before[] = {4, 4, 4, 4, 4, 4}, transposed[] = {0, 1, 2, 3, 4, 5};
  REQUIRE(file("input_0.bin") == std::string(reinterpret_cast<const char*>(before), sizeof before));
  REQUIRE(file("input_1.bin") == std::string(reinterpret_cast<const char*>(transposed), sizeof transposed));
  REQUIRE(file("scalars.txt").find("double 1.5") != std::string::npos);
  REQUIRE(file("inputs.txt").find("i1 f32[3, 2] strides [2, 1]") != std::string::npos);
  REQUIRE(file("region.txt").find("region reproduced_r0") != std::string::npos);
  REQUIRE(file("difference.txt").find("of 6 elements differ") != std::string::npos);
  REQUIRE_FALSE(file("graph.txt").empty());
  REQUIRE_FALSE(file("program.txt").empty());
}

TEST_CASE("written inputs get their eager values back") {
  if (!jit()) return;
  const Verifying verifying;
  auto f = [](Tensor& p, const Tensor& grad) { return p.add_(grad, -0.1) * 2; };
  auto g = compile(f);
  Tensor a = ones({5}), b = ones({5});
  const Tensor grad = randn({5});
  REQUIRE(same_bits(f(a, grad), g(b, grad)));
  sabotage(g, [](const Program::Launch& l) { static_cast<float*>(l.inputs[0])[2] += 1; });
  REQUIRE(same_bits(f(a, grad), g(b, grad)));
  REQUIRE(same_bits(a, b));
  REQUIRE(g.stats().verify_failures == 1);
  REQUIRE(said("input 0, written in place, f32[5]: 1 of 5 elements differ, the first at [2]"));
  REQUIRE(same_bits(f(a, grad), g(b, grad)));
  REQUIRE(same_bits(a, b));
}

TEST_CASE("an input that is only read keeps its bytes") {
  if (!jit()) return;
  const Verifying verifying;
  auto g = compile([](const Tensor& x, const Tensor& y) { return (x + y).sin(); });
  const Tensor x = randn({4}), y = randn({4}), kept = y.clone();
  const Tensor expected = g(x, y).clone();
  sabotage(g, [](const Program::Launch& l) { static_cast<float*>(l.inputs[1])[3] = 0; });
  REQUIRE(same_bits(g(x, y), expected));
  REQUIRE(same_bits(y, kept));
  REQUIRE(said("input 1, only read, f32[4]: 1 of 4 elements differ, the first at [3]"));
}

TEST_CASE("inputs that share memory share it in the copies") {
  const Verifying verifying;
  auto f = [](Tensor& x, const Tensor& whole, const Tensor& other) {
    x.mul_(3);  // other is beside x, whole covers both
    return other + whole.sum();
  };
  auto g = compile(f);
  auto read = [](const Tensor& a, const Tensor& b) { return a.sin() * b; };
  auto h = compile(read);
  for (int i = 0; i < 4; ++i) {
    Tensor u = randn({6, 4}), v = u.clone();
    Tensor up = u.slice(0, 0, 3), vp = v.slice(0, 0, 3);
    REQUIRE(same_bits(f(up, u, u.slice(0, 3, 6)), g(vp, v, v.slice(0, 3, 6))));
    REQUIRE(same_bits(u, v));
    const Tensor columns = u.t();
    REQUIRE(same_bits(read(columns.slice(0, 0, 3), columns.slice(0, 1, 4)), h(columns.slice(0, 0, 3), columns.slice(0, 1, 4))));
  }
  REQUIRE(g.stats().verify_failures + h.stats().verify_failures == 0);
  if (jit()) REQUIRE(h.stats().verified == 4);
}

TEST_CASE("memory of others, overlapping and off its alignment") {
  const Verifying verifying;
  std::vector<float> memory(40);
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i) * 0.25f;
  auto f = [](Tensor& x, const Tensor& y) {
    x.add_(1);
    return x * 2 + y;
  };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i)
    for (const size_t apart : {20, 3}) {  // beside each other; overlapping
      std::vector<float> mine = memory, theirs = memory;
      Tensor x = from_blob(mine.data() + 1, {2, 5}), u = from_blob(theirs.data() + 1, {2, 5});
      REQUIRE(same_bits(f(x, from_blob(mine.data() + 1 + apart, {2, 5})), g(u, from_blob(theirs.data() + 1 + apart, {2, 5}))));
      REQUIRE(mine == theirs);
    }
  REQUIRE(g.stats().verify_failures == 0);
  if (jit()) REQUIRE(g.stats().verified >= 3);
}

TEST_CASE("random operators draw the same numbers once more and move the generator once") {
  auto f = [](const Tensor& x) {
    return x * rand({8}) + randn({8}) + nn::functional::dropout(x, nn::functional::DropoutFuncOptions().p(0.5).training(true));
  };
  auto g = compile(f);
  const Tensor x = ones({8});
  manual_seed(3);
  std::vector<Tensor> expected;
  for (int i = 0; i < 4; ++i) expected.push_back(f(x));
  const Verifying verifying;
  manual_seed(3);
  for (int i = 0; i < 4; ++i) REQUIRE(same_bits(g(x), expected[static_cast<size_t>(i)]));
  REQUIRE(g.stats().verify_failures == 0);
  if (jit()) REQUIRE(g.stats().verified == 4);
}

TEST_CASE("a write through a raw pointer between use and close is named") {
  const Verifying verifying;
  Tensor x = ones({4});
  float* p = x.data_ptr<float>();
  auto g = compile([&](const Tensor& t) {
    Tensor r = t * 2;
    p[1] = 5;
    return r + 1;
  });
  g(x);
  REQUIRE(said("bytes of the input f32[4] of mul (verify_test.cpp:"));
  REQUIRE(said("written through a raw pointer"));
  warnings.clear();
  auto ordered = compile([&](const Tensor& t) {
    Tensor r = t * 2;
    sinter::sync();
    p[1] = 7;
    return r + 1;
  });
  ordered(x);
  REQUIRE(warnings.empty());
}

TEST_CASE("elements between those of a strided input belong to others") {
  const Verifying verifying;
  Tensor both = ones({4, 2});
  float* p = both.data_ptr<float>();
  auto g = compile([&](const Tensor& t) {
    Tensor r = t * 2;
    p[1] = 5;  // the other column
    return r + 1;
  });
  for (int i = 0; i < 3; ++i) REQUIRE(g(both.select(1, 0)).sum().item<float>() == 12.0f);
  REQUIRE(warnings.empty());
}

TEST_CASE("NaNs are equal whatever their payload; products have a bound") {
  if (!jit()) return;
  const Verifying verifying;
  auto nan = compile([](const Tensor& x) { return x.sqrt(); });
  const Tensor negative = full({4}, -1.0);
  nan(negative);
  sabotage(nan, [](const Program::Launch& l) { flip_output(l, 0, 5); });
  nan(negative);
  REQUIRE(nan.stats().verify_failures == 0);

  const Tensor a = randn({8, 8}), b = randn({8, 8});
  const auto after = [&](auto f, int bit) {
    auto g = compile(f);
    g(a, b);
    sabotage(g, [bit](const Program::Launch& l) { flip_output(l, 0, bit); });
    g(a, b);
    return g.stats().verify_failures;
  };
  const auto product = [](const Tensor& x, const Tensor& y) { return mm(x, y) * 2; };
  REQUIRE(after(product, 0) == 0);  // one unit in the last place
  REQUIRE(after(product, 20) == 1);
  REQUIRE(after([](const Tensor& x, const Tensor& y) { return (x * y).sum(1); }, 0) == 1);
}

TEST_CASE("training steps are verified and stay equal to eager") {
  const auto train = [](bool compiled) {
    manual_seed(11);
    nn::Linear a(6, 5), b(5, 3);
    optim::SGD sgd({a->weight, a->bias, b->weight, b->bias}, optim::SGDOptions(0.1).momentum(0.9));
    auto step = [&](const Tensor& x, const Tensor& y) {
      Tensor loss = nn::functional::cross_entropy(
          b(nn::functional::dropout(relu(a(x)), nn::functional::DropoutFuncOptions().p(0.3).training(true))), y);
      sgd.zero_grad();
      loss.backward();
      sgd.step();
      return loss;
    };
    auto g = compile(step);
    for (int i = 0; i < 5; ++i) {
      const Tensor x = randn({4, 6}), y = randint(0, 3, {4}, kLong);
      if (compiled) g(x, y);
      else step(x, y);
    }
    if (compiled) REQUIRE(g.stats().verify_failures == 0);
    if (compiled && jit()) REQUIRE(g.stats().verified >= 3);
    return bits(a->weight) + bits(a->bias) + bits(b->weight) + bits(b->bias);
  };
  const std::string eager = train(false);
  const Verifying verifying;
  REQUIRE(train(true) == eager);
  REQUIRE(warnings.empty());
}

TEST_CASE("one region in n is verified, also where every call closes two") {
  if (!jit()) return;
  const Verifying verifying(4);
  auto g = compile([](const Tensor& x) { return x * 2; });
  for (int i = 0; i < 80; ++i) g(ones({3}));
  REQUIRE(g.stats().verified >= 19);
  REQUIRE(g.stats().verified <= 21);
  for (const int32_t region : {0, 1}) {
    auto two = compile([](const Tensor& x) { return x.sum().item<float>() > 0 ? x * 3 : x; });
    two(ones({3}));
    sabotage(
        two, [](const Program::Launch& l) { flip_output(l, 0, 4); }, region);
    for (int i = 0; i < 60 && two.stats().verify_failures == 0; ++i) two(ones({3}));
    REQUIRE(two.stats().verify_failures == 1);
  }
  verify_interval = 0;
  const int64_t before = g.stats().verified;
  for (int i = 0; i < 10; ++i) g(ones({3}));
  REQUIRE(g.stats().verified <= before + 1);  // one may have been chosen already
}

TEST_CASE("memory is given back, and without memory the call goes on unverified") {
  if (!jit()) return;
  const Verifying verifying;
  auto g = compile([](Tensor& x, const Tensor& y) { return x.add_(y).sin() * y.t(); });
  Tensor x = randn({32, 32});
  const Tensor y = randn({32, 32});
  for (int i = 0; i < 20; ++i) g(x, y);
  const int64_t blocks = aligned_blocks, taken = aligned_taken;
  const auto in_use = mallinfo2().uordblks;
  for (int i = 0; i < 500; ++i) g(x, y);
  REQUIRE(aligned_taken >= taken + 1000);
  REQUIRE(aligned_blocks == blocks);
  REQUIRE(mallinfo2().uordblks < in_use + 64 * 1024);
  const int64_t verified = g.stats().verified;
  REQUIRE(verified == 520);
  refuse_aligned = true;
  g(x, y);
  refuse_aligned = false;
  REQUIRE(g.stats().verified == verified);
  REQUIRE(g.stats().interpreted == 0);
  g(x, y);
  REQUIRE(g.stats().verified == verified + 1);
  REQUIRE(warnings.empty());
}

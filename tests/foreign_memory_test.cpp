// Memory that users bring with from_blob: odd addresses, strides of zero and below, overlaps, more than 2^31 elements.
#include <sys/mman.h>
#include <cstdio>
#include <cstring>
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

template <class E, class F>
std::string refused(F&& f) {
  try {
    f();
  } catch (const E& e) { return e.what(); }
  return "accepted";
}

/// `f` eager and compiled, the second call of each compared too.
template <class F>
void check(F f, const std::vector<Tensor>& in) {
  auto g = compile(f);
  for (int i = 0; i < 3; ++i) REQUIRE(same_bits(f(in), g(in)));
}

}  // namespace

TEST_CASE("data one byte off its elements' alignment") {
  alignas(64) static char memory[4096];
  std::vector<float> values(400);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) - 8;
  std::memcpy(memory + 1, values.data(), values.size() * 4);
  std::memcpy(memory + 1603, values.data(), values.size() * 4);
  const Tensor a = from_blob(memory + 1, {20, 19}), b = from_blob(memory + 1603, {20, 19});
  check([](const auto& in) { return (in[0] * in[1]).exp() + in[0]; }, {a, b});
  check([](const auto& in) { return in[0].softmax(-1) + in[1].amax(-1, true); }, {a, b});
  check([](const auto& in) { return in[0].mm(in[1].t()); }, {a, b});
  check([](const auto& in) { return in[0].t().mm(in[1]); }, {a, b});
}

TEST_CASE("data aligned to its elements and no more") {
  alignas(64) static float memory[256];
  for (int i = 0; i < 256; ++i) memory[i] = static_cast<float>(i % 17) - 8;
  for (int offset = 0; offset < 17; ++offset)
    for (const int64_t n : {1, 7, 16, 33, 100}) {
      check([](const auto& in) { return (in[0] * in[1]).exp() + in[0]; },
            {from_blob(memory + offset, {n}), from_blob(memory, {n})});
      check([](const auto& in) { return in[0].softmax(-1) + in[1].amax(-1, true); },
            {from_blob(memory + offset, {2, n}, {n + 1, 1}), from_blob(memory + 1, {2, n})});
    }
}

TEST_CASE("strides of zero are read, and not written") {
  float memory[64];
  for (int i = 0; i < 64; ++i) memory[i] = static_cast<float>(i);
  const Tensor rows = from_blob(memory + 3, {4, 5}, {0, 1}), columns = from_blob(memory, {4, 5}, {5, 0}),
               one = from_blob(memory + 7, {4, 5}, {0, 0});
  for (const Tensor& t : {rows, columns, one}) {
    check([](const auto& in) { return in[0] * 2 + in[0].sum(0); }, {t});
    check([](const auto& in) { return in[0].sum(-1, true) + in[0]; }, {t});
    check([](const auto& in) { return in[0].mm(in[0].t()); }, {t});
    const auto write = [](const Tensor& x) { x.add_(1); };
    auto compiled = compile(write);
    CHECK_THAT(refused<ValueError>([&] { write(t); }), Catch::Contains("a single memory location"));
    CHECK(refused<ValueError>([&] { compiled(t); }) == refused<ValueError>([&] { write(t); }));
  }
  CHECK(one.sum().item<float>() == 20 * 7);
}

TEST_CASE("strides below zero are refused") {
  float memory[16] = {};
  CHECK(refused<ShapeError>([&] { from_blob(memory + 7, {8}, {-1}); }) == "from_blob: negative strides are not supported: [-1]");
  CHECK_THAT(refused<ShapeError>([&] { from_blob(memory, {2, 2}, {2, -1}); }), Catch::Contains("negative strides"));
}

TEST_CASE("outputs that overlap what is read are refused, the same memory is not") {
  float memory[64];
  const auto add = [](const Tensor& x, const Tensor& y) { x.add_(y); };
  auto compiled = compile(add);
  for (int i = 0; i < 64; ++i) memory[i] = static_cast<float>(i);
  for (int round = 0; round < 3; ++round) {
    const Tensor x = from_blob(memory, {20}), shifted = from_blob(memory + 1, {20}), apart = from_blob(memory + 20, {20});
    const std::string said = refused<ValueError>([&] { add(x, shifted); });
    CHECK_THAT(said,
               Catch::Contains("some elements of the input tensor and the written-to tensor refer to a single memory location"));
    CHECK(refused<ValueError>([&] { compiled(x, shifted); }) == said);
    CHECK(x[3].item<float>() == 3);
    compiled(x, from_blob(memory, {20}));
    CHECK(x[3].item<float>() == 6);
    compiled(x, apart);
    CHECK(x[3].item<float>() == 6 + 23);
    for (int i = 0; i < 64; ++i) memory[i] = static_cast<float>(i);
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {

constexpr int64_t kBeyond = int64_t{1} << 31;

/// Address space whose pages exist once they are written; huge ones, as millions of small ones take minutes to read.
class Sparse {
 public:
  explicit Sparse(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ != MAP_FAILED) madvise(data_, bytes_, MADV_HUGEPAGE);
  }
  Sparse(const Sparse&) = delete;
  ~Sparse() {
    if (*this) munmap(data_, bytes_);
  }
  explicit operator bool() const { return data_ != MAP_FAILED; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  size_t bytes_;
  void* data_;
};

/// Bytes the system could give; 0 when unknown.
int64_t available_memory() {
  FILE* const f = std::fopen("/proc/meminfo", "r");
  if (f == nullptr) return 0;
  char line[256];
  long long kib = 0;
  while (std::fgets(line, sizeof line, f))
    if (std::sscanf(line, "MemAvailable: %lld kB", &kib) == 1) break;
  std::fclose(f);
  return kib * 1024;
}

}  // namespace

TEST_CASE("more than 2^31 elements in little memory: counts do not overflow") {
  const NoGradGuard no_grad;
  std::vector<float> memory(2048);
  memory[2047] = 1;
  const int64_t rows = (int64_t{1} << 20) + 1;
  const Tensor x = from_blob(memory.data(), {rows, 2048}, {0, 1});
  REQUIRE(x.numel() > kBeyond);
  // By rows: no temporary of that size is made.
  auto count = compile([](const Tensor& t) { return (t > 0).sum(-1).sum(); });
  CHECK(count(x).item<int64_t>() == rows);
  auto largest = compile([](const Tensor& t) { return (t + 1).amax(-1).sum(); });
  CHECK(largest(x).item<float>() == static_cast<float>(2 * rows));
  CHECK(x.amax(-1).sum().item<float>() == static_cast<float>(rows));
}

// Every page of the mapping is touched: seconds, but minutes where page faults are slow.
TEST_CASE("more than 2^31 elements: reductions of bool and float", "[.][soak]") {
  const NoGradGuard no_grad;
  const int64_t n = kBeyond + 71;
  const int64_t marks[] = {0, 5, kBeyond - 1, kBeyond, kBeyond + 1, n - 1};
  const Sparse flags(n), numbers(n * 4);
  if (!flags || !numbers) {
    WARN("no address space: not tested");
    return;
  }
  for (size_t i = 0; i < std::size(marks); ++i) {
    flags.as<bool>()[marks[i]] = true;
    numbers.as<float>()[marks[i]] = static_cast<float>(1 << i);
  }
  const Tensor b = from_blob(flags.as<bool>(), {n}, kBool), x = from_blob(numbers.as<float>(), {n});
  CHECK(b.sum().item<int64_t>() == 6);
  auto count_pairs = compile([](const Tensor& t) { return t.logical_and(t).sum(); });  // no temporary of that size
  CHECK(count_pairs(b).item<int64_t>() == 6);
  auto sum = compile([](const Tensor& t) { return (t * 2 + t).sum(); });
  CHECK(sum(x).item<float>() == 3 * 63);
  auto largest = compile([](const Tensor& t) { return (t * 2).amax(); });
  CHECK(largest(x).item<float>() == 64);
  CHECK(x.argmax().item<int64_t>() == n - 1);
}

TEST_CASE("strides and offsets beyond 2^31 elements: views, writes, gathers") {
  const NoGradGuard no_grad;
  const int64_t step = (int64_t{1} << 30) + 19;
  const Sparse numbers((2 * step + 64) * 4);
  if (!numbers) {
    WARN("no address space: not tested");
    return;
  }
  const Tensor x = from_blob(numbers.as<float>(), {3, 37}, {step, 1}), all = from_blob(numbers.as<float>(), {2 * step + 64});
  const Tensor values = randn({3, 37});
  const auto write = [](const Tensor& to, const Tensor& from) { to.copy_(from * 2); };
  auto compiled = compile(write);
  for (int i = 0; i < 3; ++i) {
    x.zero_();
    compiled(x, values);
    REQUIRE(same_bits(x.contiguous(), values * 2));
    check([](const auto& in) { return (in[0] * in[1]).sum(0) + in[0]; }, {x, values});
    check([](const auto& in) { return in[0].t().sum(-1) * 3; }, {x});
    check([step](const auto& in) { return in[0].slice(0, 2 * step + 3, 2 * step + 30) + 1; }, {all});
    const Tensor at = tensor({0, 2 * static_cast<int>(step % 7)}, kLong) + 2 * step;
    check([](const auto& in) { return in[0].index_select(0, in[1]) * 2; }, {all, at});
  }
}

TEST_CASE("more than 2^31 elements written: eager, compiled", "[.][soak]") {
  const NoGradGuard no_grad;
  const int64_t n = kBeyond + 71;
  if (available_memory() < int64_t{6} << 30) {
    WARN("less than 6 GiB of memory: not tested");
    return;
  }
  const Sparse flags(n);
  if (!flags) {
    WARN("no address space: not tested");
    return;
  }
  const Tensor b = from_blob(flags.as<bool>(), {n}, kBool);
  const auto add = [](const Tensor& t, const Tensor& u) { t.add_(u); };
  add(b, ones({}, kBool));
  CHECK(b.sum().item<int64_t>() == n);
  auto multiply = compile([](const Tensor& t, const Tensor& u) { t.mul_(u); });
  multiply(b, zeros({}, kBool));
  CHECK(b.sum().item<int64_t>() == 0);
  auto compiled_add = compile(add);
  compiled_add(b, ones({}, kBool));
  CHECK(b.sum().item<int64_t>() == n);
}
#endif

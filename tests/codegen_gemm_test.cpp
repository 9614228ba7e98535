// Emitted matrix products: the order of gemm_order.h to the bit, on both instruction sets and as the C++ tiles give it; operands
// flush with pages that fault; instructions of an allow-list.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include "codegen/gemm/product_kernel.h"
#include "guarded_operands.h"
#include "runtime/kernels/gemm_order.h"
#include "runtime/kernels/gemm_pack.h"
#include "runtime/threads.h"
#include "tile_instructions.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;

namespace {

template <class T>
T chain(const T* a, int64_t a_k, const T* b, int64_t b_k, int64_t k) {
  T total = 0;
  for (int64_t from = 0; from < k; from += kGemmBlock) {
    T sum = 0;
    for (int64_t q = from; q < std::min(k, from + kGemmBlock); ++q) sum = std::fma(a[q * a_k], b[q * b_k], sum);
    total = from == 0 ? sum : total + sum;
  }
  return total;
}

template <class T>
T lanes(const T* a, const T* b, int64_t k) {
  constexpr int kLanes = kDotBytes / static_cast<int>(sizeof(T));
  T lane[kLanes] = {};
  for (int64_t q = 0; q < k; ++q) lane[q % kLanes] = std::fma(a[q], b[q], lane[q % kLanes]);
  for (int s = kLanes / 2; s > 0; s /= 2)
    for (int l = 0; l < s; ++l) lane[l] += lane[l + s];
  return lane[0];
}

/// One product with its operands between guard pages.
template <class T>
class Checked {
 public:
  Checked(const SettledProduct& p, uint64_t seed) : p_(p), s_(p.shape) {
    std::mt19937_64 rng(seed);
    const auto fill = [&](int64_t n) {
      std::vector<uint8_t> bytes(static_cast<size_t>(n) * sizeof(T));
      for (int64_t i = 0; i < n; ++i) {
        const T x = static_cast<T>(std::normal_distribution<double>()(rng));
        std::memcpy(bytes.data() + static_cast<size_t>(i) * sizeof(T), &x, sizeof(T));
      }
      return bytes;
    };
    a_ = fill((p.batch - 1) * p.a_batch + (s_.m - 1) * s_.a_row + (s_.k - 1) * s_.a_col + 1);
    b_ = fill((p.batch - 1) * p.b_batch + (s_.k - 1) * s_.b_row + (s_.n - 1) * s_.b_col + 1);
    bias_ = fill(p.bias >= 0 ? s_.n : 0);
  }

  /// As it lies, and over panels.
  std::string check(Isa isa, Placement where) {
    set_isa_cap(isa);
    NoKernel why{};
    const auto kernel = get_product(p_, why);
    const auto plan = kernel ? plan_frozen(*kernel) : nullptr;
    set_isa_cap(detected_isa());
    if (!kernel) return "no kernel";
    std::string wrong = run(*kernel, b_, where);
    if (!wrong.empty() || !plan) return wrong;
    ProductKernel frozen = *plan;
    if (!emit_tiles(frozen, why)) return "no code over panels";
    return run(frozen, panels(frozen.plan), where);
  }

 private:
  std::vector<uint8_t> panels(const GemmPlan& plan) const {
    const int64_t width = plan.lanes * plan.tile.vectors, e = plan.element;
    std::vector<uint8_t> all(static_cast<size_t>(plan.panels * width * s_.k * e));
    for (int64_t j = 0; j < plan.panels; ++j)
      pack_panel({reinterpret_cast<const char*>(b_.data()) + j * width * s_.b_col * e, s_.b_row * e, s_.b_col * e, plan.element},
                 s_.k, std::min(width, s_.n - j * width), width, all.data() + j * width * s_.k * e);
    return all;
  }

  std::string run(const ProductKernel& kernel, const std::vector<uint8_t>& operand, Placement where) const {
    const std::vector<uint8_t> blank(static_cast<size_t>(p_.batch * s_.m * s_.n) * sizeof(T), 0x7f);
    const std::vector<uint8_t> blank_scratch(static_cast<size_t>(kernel.plan.scratch_bytes), 0xff);
    GuardedMemory* memory[5];
    const std::vector<uint8_t>* contents[] = {&a_, &operand, &bias_, &blank, &blank_scratch};
    uint8_t* at[5];
    for (size_t i = 0; i < 5; ++i) {
      memory[i] = &GuardedMemory::of(20 + i, contents[i]->size());
      const Placement place = i == 4 ? Placement{Placement::Start} : where;
      at[i] = memory[i]->place(*contents[i], place, sizeof(T), i);
    }
    kernel.run(at[0], at[1], p_.bias >= 0 ? at[2] : nullptr, at[3], at[4]);
    for (size_t i = 0; i < 5; ++i)
      if (!memory[i]->canaries_intact()) return "wrote beside operand " + std::to_string(i);
    return differences(reinterpret_cast<const T*>(at[3]), kernel);
  }

  std::string differences(const T* c, const ProductKernel& kernel) const {
    std::vector<T> a(a_.size() / sizeof(T)), b(b_.size() / sizeof(T)), bias(bias_.size() / sizeof(T));
    std::memcpy(a.data(), a_.data(), a_.size());
    std::memcpy(b.data(), b_.data(), b_.size());
    if (!bias_.empty()) std::memcpy(bias.data(), bias_.data(), bias_.size());
    const bool dot = is_dot_product(s_.m, s_.n, s_.k, s_.a_col, s_.b_row);
    if (dot != kernel.plan.dot) return "another order";
    for (int64_t q = 0; q < p_.batch; ++q)
      for (int64_t i = 0; i < s_.m; ++i)
        for (int64_t j = 0; j < s_.n; ++j, ++c) {
          const T *x = a.data() + q * p_.a_batch + i * s_.a_row, *y = b.data() + q * p_.b_batch + j * s_.b_col;
          T want = dot ? lanes(x, y, s_.k) : chain(x, s_.a_col, y, s_.b_row, s_.k);
          if (p_.bias >= 0) want = want + bias[static_cast<size_t>(j)];
          if (std::memcmp(&want, c, sizeof(T)) != 0)
            return kernel.name() + ": element " + std::to_string(i) + ", " + std::to_string(j) + " is " + std::to_string(*c) +
                   ", not " + std::to_string(want);
        }
    return "";
  }

  SettledProduct p_;
  GemmShape s_;
  std::vector<uint8_t> a_, b_, bias_;
};

SettledProduct product(ScalarType t, int64_t m, int64_t n, int64_t k, bool a_columns, bool b_columns, bool bias,
                       int64_t gap = 0) {
  SettledProduct p;
  p.shape = {t, m, n, k, a_columns ? 1 : k + gap, a_columns ? m + gap : 1, b_columns ? 1 : n + gap, b_columns ? k + gap : 1};
  p.bias = bias ? 2 : -1;
  return p;
}

std::string check(const SettledProduct& p, uint64_t seed, const std::vector<Placement>& where) {
  for (const Isa isa : {Isa::Avx2, Isa::Avx512}) {
    if (isa > detected_isa()) continue;
    for (const Placement& place : where) {
      const std::string wrong = p.shape.dtype == ScalarType::Float ? Checked<float>(p, seed).check(isa, place)
                                                                   : Checked<double>(p, seed).check(isa, place);
      if (!wrong.empty()) return std::string(isa_name(isa)) + ": " + wrong;
    }
  }
  return "";
}

const std::vector<Placement> kEnds = {{Placement::End}, {Placement::Start}};

/// Sizes around the tiles', now and then a long k.
SettledProduct random_product(std::mt19937_64& rng) {
  const auto size = [&](int64_t most) { return 1 + static_cast<int64_t>(rng() % static_cast<uint64_t>(most)); };
  const auto side = [&] { return size(rng() % 3 == 0 ? 4 : rng() % 2 ? 20 : 70); };
  int64_t m = side(), n = side(), k = size(rng() % 2 ? 40 : 600);
  if (rng() % 8 == 0) k = size(5000), m = 1 + m % 20, n = 1 + n % 20;
  SettledProduct p = product(rng() % 2 ? ScalarType::Float : ScalarType::Double, m, n, k, rng() % 2, rng() % 2, rng() % 2,
                             static_cast<int64_t>(rng() % 3));
  if (rng() % 4 == 0) {
    p.batch = 3;
    p.a_batch = rng() % 2 ? 0 : (m + 3) * (k + 3);
    p.b_batch = (n + 3) * (k + 3);
  }
  return p;
}

}  // namespace

TEST_CASE("products keep to the order of summation, inside their operands") {
  std::mt19937_64 rng(11);
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const SettledProduct p = random_product(rng);
    INFO(seed << ": " << p.shape.m << " x " << p.shape.n << " x " << p.shape.k);
    REQUIRE(check(p, seed, kEnds) == "");
  }
}

TEST_CASE("every size up to three vectors and one, every alignment") {
  std::vector<Placement> everywhere = kEnds;
  for (int step = 0; step < 16; step += 5) everywhere.push_back({Placement::Offset, step});
  everywhere.push_back({Placement::Odd});
  for (int64_t n = 1; n <= 49; ++n) {
    INFO(n);
    REQUIRE(check(product(ScalarType::Float, 9, n, 11, false, false, true), 1, everywhere) == "");
    REQUIRE(check(product(ScalarType::Float, n, 9, 11, true, true, true), 2, everywhere) == "");
    REQUIRE(check(product(ScalarType::Float, 3, 5, n, false, true, true), 3, everywhere) == "");
    REQUIRE(check(product(ScalarType::Double, n, 13, 7, false, true, false), 4, everywhere) == "");
  }
}

TEST_CASE("the eager kernel gives the same bits") {
  std::mt19937_64 rng(13);
  for (int turn = 0; turn < 300; ++turn) {
    const SettledProduct p = random_product(rng);
    if (p.shape.dtype != ScalarType::Float || p.batch != 1 || p.bias >= 0) continue;
    const GemmShape& s = p.shape;
    std::vector<float> a(static_cast<size_t>((s.m + 4) * (s.k + 4))), b(static_cast<size_t>((s.n + 4) * (s.k + 4)));
    std::vector<float> eager(static_cast<size_t>(s.m * s.n)), compiled = eager;
    for (float& x : a) x = static_cast<float>(static_cast<int32_t>(rng())) * 0x1p-31f;
    for (float& x : b) x = static_cast<float>(static_cast<int32_t>(rng())) * 0x1p-31f;
    const SizeVec sizes[] = {{s.m, s.k}, {s.k, s.n}, {s.m, s.n}}, strides[] = {{s.a_row, s.a_col}, {s.b_row, s.b_col}, {s.n, 1}};
    const TensorView in[] = {{a.data(), kFloat, sizes[0], strides[0]}, {b.data(), kFloat, sizes[1], strides[1]}};
    KernelArgs args;
    args.op = Op::mm;
    args.in = in;
    args.out = {eager.data(), kFloat, sizes[2], strides[2]};
    SettledProduct settled;
    REQUIRE(settle_product(args, settled));
    for (const Isa isa : {Isa::Avx2, Isa::Avx512}) {
      if (isa > detected_isa()) continue;
      set_isa_cap(isa);
      run_kernel(args);
      NoKernel why{};
      const auto kernel = get_product(settled, why);
      set_isa_cap(detected_isa());
      REQUIRE(kernel);
      std::vector<char> scratch(static_cast<size_t>(kernel->plan.scratch_bytes) + 64);
      void* at = scratch.data();
      size_t room = scratch.size();
      std::align(64, static_cast<size_t>(kernel->plan.scratch_bytes), at, room);
      kernel->run(a.data(), b.data(), nullptr, compiled.data(), at);
      INFO(kernel->name() << " " << isa_name(isa));
      REQUIRE(std::memcmp(eager.data(), compiled.data(), eager.size() * 4) == 0);
    }
  }
}

TEST_CASE("long sums: blocks along k, and calls that leave their sums for the next") {
  for (const int64_t k : {kGemmBlock - 1, kGemmBlock, kGemmBlock + 1, 2 * kGemmBlock, 8 * kGemmBlock + 1, 10 * kGemmBlock + 77})
    for (const bool columns : {false, true}) {
      INFO(k);
      REQUIRE(check(product(ScalarType::Float, 21, 40, k, columns, false, true), 5, kEnds) == "");
      REQUIRE(check(product(ScalarType::Float, 70, 19, k, false, true, true), 6, kEnds) == "");
      REQUIRE(check(product(ScalarType::Float, 17, 18, k, columns, columns, true), 7, kEnds) == "");
    }
}

TEST_CASE("infinities, NaNs and signed zeros come out as from the chain") {
  // Rows and columns beyond the tile's tail are packed as zeros: 0 * inf there must reach no result.
  SettledProduct p = product(ScalarType::Float, 9, 17, 3, false, true, false);
  NoKernel why{};
  const auto kernel = get_product(p, why);
  REQUIRE(kernel);
  std::vector<float> a(27, 1), b(51, -0.0f), c(153);
  a[0] = INFINITY, a[4] = NAN, b[0] = 1;
  std::vector<uint8_t> scratch(static_cast<size_t>(kernel->plan.scratch_bytes) + 64);
  void* at = scratch.data();
  size_t room = scratch.size();
  std::align(64, static_cast<size_t>(kernel->plan.scratch_bytes), at, room);
  kernel->run(a.data(), b.data(), nullptr, c.data(), at);
  for (int64_t i = 0; i < 9; ++i)
    for (int64_t j = 0; j < 17; ++j) {
      const float want = chain(&a[static_cast<size_t>(3 * i)], 1, &b[static_cast<size_t>(3 * j)], 1, 3),
                  got = c[static_cast<size_t>(17 * i + j)];
      REQUIRE(std::isnan(want) == std::isnan(got));
      if (!std::isnan(want)) REQUIRE(std::memcmp(&want, &got, 4) == 0);
    }
}

TEST_CASE("tiles are made of listed instructions, touch no register that callers keep, and are the same bytes each time") {
  std::mt19937_64 rng(12);
  for (int turn = 0; turn < 300; ++turn) {
    const SettledProduct p = random_product(rng);
    for (const Isa isa : {Isa::Avx2, Isa::Avx512}) {
      const GemmPlan plan = plan_product(p.shape, tile_registers(isa, p.shape.dtype), p.bias >= 0);
      const TileSpec spec = tile_of(plan, p.shape.dtype, isa, turn & 1, turn & 2);
      check_tile_instructions(spec, [](const Decoded& d, size_t at) {
        if (at == 0) REQUIRE(d.name() == "endbr64");
        for (int i = 0; i < d.inst.operand_count; ++i) {
          if (d.operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER || !(d.operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
          if (ZydisRegisterGetClass(d.operands[i].reg.value) != ZYDIS_REGCLASS_GPR64 || d.name() == "ret") continue;
          const int id = ZydisRegisterGetId(d.operands[i].reg.value);
          REQUIRE((id != 3 && id != 4 && id != 5 && id < 12));  // rbx, rsp, rbp, r12 to r15
        }
      });
    }
  }
}

TEST_CASE("any number of threads gives the same bits") {
  const int before = get_num_threads();
  SettledProduct batch = product(ScalarType::Float, 128, 128, 64, false, true, false);
  batch.batch = 12, batch.a_batch = batch.b_batch = 128 * 64;
  const SettledProduct all[] = {product(ScalarType::Float, 64, 512, 784, false, true, true),
                                product(ScalarType::Float, 300, 257, 200, true, false, true),
                                product(ScalarType::Float, 200, 448, 300, false, false, true),  // panels in equal groups
                                product(ScalarType::Float, 96, 640, 900, false, true, false),
                                product(ScalarType::Double, 150, 140, 4500, false, false, false),
                                product(ScalarType::Float, 1, 3000, 784, false, true, true),
                                product(ScalarType::Float, 5, 4000, 300, false, false, false),
                                batch};
  for (const SettledProduct& p : all) {
    std::vector<uint8_t> bytes(static_cast<size_t>((p.shape.m + p.shape.n) * p.shape.k * p.batch) * 8);
    std::mt19937 rng(9);
    for (size_t i = 0; i < bytes.size(); i += 4) {
      const float x = static_cast<float>(static_cast<int32_t>(rng())) * 0x1p-31f;
      std::memcpy(bytes.data() + i, &x, 4);  // as the high half of a double: a number too
    }
    NoKernel why{};
    const auto kernel = get_product(p, why);
    REQUIRE(kernel);
    std::vector<uint8_t> scratch(static_cast<size_t>(kernel->plan.scratch_bytes) + 64), want;
    void* at = scratch.data();
    size_t room = scratch.size();
    std::align(64, static_cast<size_t>(kernel->plan.scratch_bytes), at, room);
    for (const int threads : {1, 2, 3, 7}) {
      set_num_threads(threads);
      std::vector<uint8_t> c(static_cast<size_t>(p.batch * p.shape.m * p.shape.n * kernel->plan.element), 0xee);
      kernel->run(bytes.data(), bytes.data() + bytes.size() / 2, bytes.data(), c.data(), at);
      if (threads == 1) want = c;
      INFO(kernel->name() << " with " << threads << " threads");
      REQUIRE(c == want);
    }
  }
  set_num_threads(before);
}

TEST_CASE("equal tiles share code; strides that fit no instruction have none") {
  NoKernel why{};
  const auto one = get_product(product(ScalarType::Float, 64, 512, 784, false, true, true), why);
  const auto other = get_product(product(ScalarType::Float, 64, 512, 784, false, true, true), why);
  REQUIRE(one);
  REQUIRE(one->code[0][0] == other->code[0][0]);
  SettledProduct p = product(ScalarType::Float, 16, 20, 20, false, false, false);
  p.shape.b_row = int64_t{1} << 31;
  REQUIRE(get_product(p, why) == nullptr);
  REQUIRE(why == NoKernel::NotEmittable);
}

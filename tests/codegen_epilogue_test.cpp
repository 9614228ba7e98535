// Epilogues in registers: the bits of the product followed by the kernel, on both instruction sets, operands flush with pages
// that fault; instructions of an allow-list.
#include <catch2/catch.hpp>
#include <random>
#include "codegen/gemm/product_kernel.h"
#include "guarded_operands.h"
#include "runtime/threads.h"
#include "tile_instructions.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;

namespace {

constexpr int kProduct = 0;

/// A spec over {rows, columns}, written node by node.
struct Expression {
  LoopSpec spec;
  ScalarType t;
  Expression(ScalarType type, int64_t rows, int64_t columns) : t(type) {
    spec.sizes = {rows, columns};
    operand({columns, 1}, t);
  }
  int operand(const SizeVec& strides, ScalarType type, bool output = false) {
    spec.operands.push_back({type, output, strides});
    return static_cast<int>(spec.operands.size()) - 1;
  }
  int add(LoopNode n) {
    spec.nodes.push_back(n);
    return static_cast<int>(spec.nodes.size()) - 1;
  }
  int load(int operand) {
    LoopNode n;
    n.kind = LoopKind::Load, n.dtype = spec.operands[static_cast<size_t>(operand)].dtype, n.index = operand;
    return add(n);
  }
  int product() { return load(kProduct); }
  int whole(ScalarType type) { return load(operand({spec.sizes[1], 1}, type)); }
  int row() { return load(operand({0, 1}, t)); }
  int element() { return load(operand({0, 0}, t)); }
  int constant(double value) {
    LoopNode n;
    n.kind = LoopKind::Constant, n.dtype = t;
    n.bits = t == kFloat ? std::bit_cast<uint32_t>(static_cast<float>(value)) : std::bit_cast<uint64_t>(value);
    return add(n);
  }
  int scalar() {
    LoopNode n;
    n.kind = LoopKind::Scalar, n.dtype = t, n.index = static_cast<int32_t>(spec.scalars.size());
    spec.scalars.push_back(t);
    return add(n);
  }
  int apply(Op op, std::initializer_list<int> in, ScalarType type) {
    LoopNode n;
    n.kind = LoopKind::Compute, n.dtype = type, n.op = op;
    for (const int i : in) n.in[n.n_in++] = i;
    return add(n);
  }
  int apply(Op op, std::initializer_list<int> in) { return apply(op, in, t); }
  void store(int node) { spec.stores = {{node, operand({spec.sizes[1], 1}, t, true)}}; }
};

using Build = int (*)(Expression&);
struct Named {
  const char* name;
  Build build;
  bool whole = false;
};
const Named kExpressions[] = {
    {"relu", [](Expression& e) { return e.apply(Op::relu, {e.product()}); }},
    {"gelu", [](Expression& e) { return e.apply(Op::gelu, {e.product()}); }},
    {"tanh", [](Expression& e) { return e.apply(Op::tanh, {e.product()}); }},
    {"sigmoid", [](Expression& e) { return e.apply(Op::sigmoid, {e.product()}); }},
    {"silu",
     [](Expression& e) {
       const int p = e.product();
       return e.apply(Op::mul, {p, e.apply(Op::sigmoid, {p})});
     }},
    {"clamp",
     [](Expression& e) {
       return e.apply(Op::clamp, {e.product(), e.constant(-0.5), e.constant(0.75)});
     }},
    {"scale",
     [](Expression& e) {
       return e.apply(Op::mul, {e.product(), e.scalar()});
     }},
    {"scale and shift by scalars",
     [](Expression& e) {
       return e.apply(Op::add, {e.apply(Op::mul, {e.product(), e.scalar()}), e.scalar()});
     }},
    {"row, relu",
     [](Expression& e) {
       return e.apply(Op::relu, {e.apply(Op::add, {e.product(), e.row()})});
     }},
    {"element",
     [](Expression& e) {
       return e.apply(Op::mul, {e.element(), e.product()});
     }},
    {"rows and elements, gelu",
     [](Expression& e) {
       return e.apply(Op::add,
                      {e.apply(Op::gelu, {e.apply(Op::mul, {e.product(), e.row()})}), e.apply(Op::mul, {e.row(), e.element()})});
     }},
    {"sin: lanes that call",
     [](Expression& e) {
       return e.apply(Op::sin, {e.apply(Op::mul, {e.product(), e.constant(1e5)})});
     }},
    {"exp of log", [](Expression& e) { return e.apply(Op::exp, {e.apply(Op::log, {e.apply(Op::abs, {e.product()})})}); }},
    {"residual",
     [](Expression& e) {
       return e.apply(Op::add, {e.whole(e.t), e.product()});
     },
     true},
    {"residual, tanh",
     [](Expression& e) {
       return e.apply(Op::tanh, {e.apply(Op::add, {e.product(), e.whole(e.t)})});
     },
     true},
    {"relu's derivative",
     [](Expression& e) {
       return e.apply(Op::threshold_backward, {e.product(), e.whole(e.t)});
     },
     true},
    {"gelu's derivative",
     [](Expression& e) {
       return e.apply(Op::gelu_backward, {e.product(), e.whole(e.t)});
     },
     true},
    {"dropout",
     [](Expression& e) {
       const int kept = e.whole(kBool), p = e.product();
       return e.apply(Op::mul, {e.apply(Op::where, {kept, p, e.constant(0)}), e.scalar()});
     },
     true},
    {"comparison, two wholes and a row",
     [](Expression& e) {
       const int p = e.product(), x = e.whole(e.t), y = e.whole(e.t);
       return e.apply(Op::where, {e.apply(Op::lt, {p, e.row()}, kBool), x, e.apply(Op::sub, {y, p})});
     },
     true},
};

struct Case {
  SettledProduct product;
  LoopSpec spec;
};

Case make_case(const SettledProduct& p, const Named& named) {
  Expression e(p.shape.dtype, p.batch * p.shape.m, p.shape.n);
  e.store(named.build(e));
  return {p, e.spec};
}

std::vector<uint8_t> numbers(std::mt19937_64& rng, ScalarType t, int64_t n) {
  std::vector<uint8_t> bytes(static_cast<size_t>(n) * element_size(t));
  for (int64_t i = 0; i < n; ++i) {
    const double x = std::normal_distribution<double>()(rng);
    const auto f = static_cast<float>(x);
    uint8_t* const at = &bytes[static_cast<size_t>(i) * element_size(t)];
    if (t == kBool) *at = x > 0;
    else if (t == kFloat) std::memcpy(at, &f, 4);
    else std::memcpy(at, &x, 8);
  }
  return bytes;
}

/// Product with epilogue against product, then kernel.
class Comparison {
 public:
  Comparison(const Case& c, uint64_t seed) : c_(c) {
    std::mt19937_64 rng(seed);
    const GemmShape& s = c.product.shape;
    const ScalarType t = s.dtype;
    const int64_t rows = c.product.batch * s.m;
    contents_.push_back(
        numbers(rng, t, (c.product.batch - 1) * c.product.a_batch + (s.m - 1) * s.a_row + (s.k - 1) * s.a_col + 1));
    contents_.push_back(
        numbers(rng, t, (c.product.batch - 1) * c.product.b_batch + (s.k - 1) * s.b_row + (s.n - 1) * s.b_col + 1));
    contents_.push_back(numbers(rng, t, c.product.bias >= 0 ? s.n : 0));
    for (size_t i = 1; i < c.spec.operands.size(); ++i) {
      const LoopOperand& o = c.spec.operands[i];
      const int64_t n = o.strides[0] ? rows * s.n : o.strides[1] ? s.n : 1;
      contents_.push_back(o.output ? std::vector<uint8_t>(static_cast<size_t>(n) * element_size(t), 0x7f)
                                   : numbers(rng, o.dtype, n));
    }
    for (size_t i = 0; i < c.spec.scalars.size(); ++i) {
      const double x = 0.25 + static_cast<double>(i);
      scalars_.push_back(t == kFloat ? std::bit_cast<uint32_t>(static_cast<float>(x)) : std::bit_cast<uint64_t>(x));
    }
  }

  /// "": the same. "none": the product takes no such epilogue.
  std::string run(Isa isa, Placement where) {
    set_isa_cap(isa);
    NoKernel why{};
    const SettledProduct& p = c_.product;
    const auto plain = get_product(p, why);
    auto epilogue = make_epilogue(c_.spec, kProduct, p.batch * p.shape.m, p.shape.n);
    if (!epilogue) return set_isa_cap(detected_isa()), "no epilogue";
    const auto fused = get_product(p, why, epilogue);
    const auto kernel = get_kernel(c_.spec, &why);
    set_isa_cap(detected_isa());
    if (!plain || !kernel) return "no kernel";
    if (!fused) return "none";
    std::vector<GuardedMemory*> memory;
    std::vector<uint8_t*> at;
    for (size_t i = 0; i < contents_.size(); ++i) {
      memory.push_back(&GuardedMemory::of(20 + i, contents_[i].size()));
      const size_t element = i < 3 ? element_size(p.shape.dtype) : element_size(c_.spec.operands[i - 2].dtype);
      at.push_back(memory[i]->place(contents_[i], where, element, i));
    }
    const size_t result = 2 + static_cast<size_t>(c_.spec.stores[0].operand);
    const void* bias = p.bias >= 0 ? at[2] : nullptr;
    std::vector<uint8_t> product(contents_[result].size()), want = product;
    std::vector<void*> arguments = {product.data()};
    for (size_t i = 3; i < at.size(); ++i) arguments.push_back(i == result ? want.data() : at[i]);
    plain->run(at[0], at[1], bias, product.data(), scratch_for(*plain));
    std::vector<uint8_t> kernel_scratch(kernel->scratch_bytes + 64);
    kernel->fn(arguments.data(), scalars_.data(), kernel_scratch.data());
    arguments[0] = nullptr;
    arguments[result - 2] = at[result];
    fused->run(at[0], at[1], bias, at[result], scratch_for(*fused), {arguments.data(), scalars_.data()});
    for (size_t i = 0; i < at.size(); ++i)
      if (!memory[i]->canaries_intact()) return "wrote beside operand " + std::to_string(i);
    if (std::memcmp(at[result], want.data(), want.size()) != 0) return fused->name() + ": other bits";
    return "";
  }

 private:
  void* scratch_for(const ProductKernel& kernel) {
    scratch_.assign(static_cast<size_t>(kernel.plan.scratch_bytes) + 64, 0xff);
    void* at = scratch_.data();
    size_t room = scratch_.size();
    return std::align(64, static_cast<size_t>(kernel.plan.scratch_bytes), at, room);
  }
  const Case& c_;
  std::vector<std::vector<uint8_t>> contents_;
  std::vector<uint64_t> scalars_;
  std::vector<uint8_t> scratch_;
};

SettledProduct product(ScalarType t, int64_t m, int64_t n, int64_t k, bool a_columns, bool b_columns, bool bias) {
  SettledProduct p;
  p.shape = {t, m, n, k, a_columns ? 1 : k, a_columns ? m : 1, b_columns ? 1 : n, b_columns ? k : 1};
  p.bias = bias ? 2 : -1;
  return p;
}

SettledProduct random_product(std::mt19937_64& rng) {
  const auto size = [&](int64_t most) { return 1 + static_cast<int64_t>(rng() % static_cast<uint64_t>(most)); };
  const auto side = [&] { return size(rng() % 3 == 0 ? 6 : rng() % 2 ? 20 : 70); };
  SettledProduct p =
      product(rng() % 3 ? kFloat : kDouble, side(), side(), size(rng() % 8 ? 40 : 1200), rng() % 2, rng() % 2, rng() % 2);
  if (rng() % 5 == 0) {
    p.batch = 3;
    p.a_batch = rng() % 2 ? 0 : p.shape.m * p.shape.k;
    p.b_batch = p.shape.n * p.shape.k;
  }
  return p;
}

}  // namespace

TEST_CASE("a product with an epilogue gives the bits of the product, then the kernel") {
  std::mt19937_64 rng(31);
  std::map<std::string, int> ran;
  for (uint64_t seed = 0; seed < 700; ++seed) {
    const Named& named = kExpressions[seed % std::size(kExpressions)];
    const Case c = make_case(random_product(rng), named);
    const GemmShape& s = c.product.shape;
    INFO(seed << ": " << s.m << " x " << s.n << " x " << s.k << ", batch " << c.product.batch << ", " << named.name);
    for (const Isa isa : {Isa::Avx2, Isa::Avx512}) {
      if (isa > detected_isa()) continue;
      INFO(isa_name(isa));
      const std::string wrong = Comparison(c, seed).run(isa, {seed % 2 ? Placement::Start : Placement::End});
      if (wrong == "none") continue;
      REQUIRE(wrong == "");
      ++ran[named.name];
    }
  }
  for (const Named& named : kExpressions) {
    INFO(named.name);
    CHECK(ran[named.name] > 10);
  }
}

TEST_CASE("which products take which epilogues") {
  const auto takes = [](const SettledProduct& p, const char* name) {
    const auto* named = std::find_if(std::begin(kExpressions), std::end(kExpressions),
                                     [&](const Named& n) { return std::string(n.name) == name; });
    const Case c = make_case(p, *named);
    NoKernel why{};
    return get_product(p, why, make_epilogue(c.spec, kProduct, p.shape.m, p.shape.n)) != nullptr;
  };
  const SettledProduct rows = product(kFloat, 64, 512, 784, false, true, true),
                       square = product(kFloat, 64, 64, 64, false, false, false),
                       one_row = product(kFloat, 1, 512, 784, false, true, true);
  for (const char* name : {"relu", "gelu", "tanh", "sigmoid", "silu", "clamp", "scale", "row, relu"}) {
    INFO(name);
    CHECK(takes(rows, name));
    CHECK(takes(square, name));
  }
  CHECK(takes(square, "residual"));
  CHECK(takes(square, "dropout"));
  CHECK(takes(one_row, "relu"));
  CHECK(takes(one_row, "residual"));
  CHECK(takes(one_row, "clamp"));
  CHECK_FALSE(takes(one_row, "gelu"));  // element by element it would take longer than a kernel
}

TEST_CASE("expressions that are no epilogue are refused") {
  const auto refused = [](auto change) {
    Expression e(kFloat, 6, 20);
    e.store(e.apply(Op::relu, {e.product()}));
    change(e.spec);
    return make_epilogue(e.spec, kProduct, 6, 20) == nullptr;
  };
  CHECK_FALSE(refused([](LoopSpec&) {}));
  CHECK(refused([](LoopSpec& s) { s.operands[1].strides = {1, 6}; }));
  CHECK(refused([](LoopSpec& s) { s.operands[0].strides = {40, 1}; }));
  CHECK(refused([](LoopSpec& s) { s.operands[1].dtype = kDouble; }));
  CHECK(refused([](LoopSpec& s) { s.sizes = {20, 6}; }));
  CHECK(refused([](LoopSpec& s) { s.mode = LoopMode::Row; }));
  CHECK(refused([](LoopSpec& s) { s.stores.push_back(s.stores[0]); }));
}

TEST_CASE("any number of threads gives the same bits of an epilogue") {
  const int before = get_num_threads();
  for (const Named& named : kExpressions) {
    const Case c = make_case(product(kFloat, 210, 257, 200, true, false, true), named);
    for (const int threads : {1, 2, 5}) {
      set_num_threads(threads);
      INFO(named.name << " with " << threads << " threads");
      REQUIRE(Comparison(c, 4).run(detected_isa(), {Placement::End}) == "");
    }
  }
  set_num_threads(before);
}

TEST_CASE("tiles that differ in their epilogue alone do not share code") {
  NoKernel why{};
  const SettledProduct p = product(kFloat, 16, 32, 8, false, false, false);
  std::vector<std::shared_ptr<const ProductKernel>> all = {get_product(p, why)};
  for (const Named& named : kExpressions)
    all.push_back(get_product(p, why, make_epilogue(make_case(p, named).spec, kProduct, 16, 32)));
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (all[i] && all[j]) CHECK(all[i]->code[1][1] != all[j]->code[1][1]);
}

TEST_CASE("epilogues are made of listed instructions and are the same bytes each time") {
  std::mt19937_64 rng(12);
  for (size_t turn = 0; turn < 400; ++turn) {
    const Case c = make_case(random_product(rng), kExpressions[turn % std::size(kExpressions)]);
    const SettledProduct& p = c.product;
    const auto epilogue = make_epilogue(c.spec, kProduct, p.batch * p.shape.m, p.shape.n);
    REQUIRE(epilogue);
    for (const Isa isa : {Isa::Avx2, Isa::Avx512}) {
      const GemmPlan plan = plan_product(p.shape, tile_registers(isa, p.shape.dtype), p.bias >= 0);
      if (plan.swapped && !plan.dot && epilogue->has_whole()) continue;
      check_tile_instructions(tile_of(plan, p.shape.dtype, isa, turn & 1, turn & 2, epilogue), [](const Decoded&, size_t) {});
    }
  }
}

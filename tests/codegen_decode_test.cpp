// What kernels are made of: an allow-list of instructions, known addresses, the same bytes each time.
#include "codegen_decode.h"
#include <malloc.h>
#include <catch2/catch.hpp>
#include <fstream>
#include <thread>
#include "child_process.h"
#include "codegen/loop/compile.h"
#include "codegen_families.h"
#include "codegen_random_spec.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;

namespace {

std::vector<Family> all_families() {
  std::vector<Family> all;
  for (const auto& part : {pointwise_families(), reduction_families(), strided_families()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// Without the cache and code memory. Throws what the test should say.
CompiledLoop compiled(const LoopSpec& spec, Isa isa) {
  CompiledLoop loop;
  std::string why;
  if (!compile_loop(spec, isa, loop, why)) throw std::runtime_error(why);
  return loop;
}

void require_clean_as_is(const LoopSpec& spec, const std::string& name, std::set<std::string>& seen) {
  for (Isa isa : {Isa::Avx2, Isa::Avx512}) {  // decoding needs no processor that has it
    const CompiledLoop loop = compiled(spec, isa);
    DecodedKernel kernel(loop.code.data(), loop.code.size(), loop.ranges, spec.operands.size(),
                         spec.scalars.size() + size_arguments(spec).size(), isa);
    const std::string complaint = kernel.complaint();
    INFO(name << " " << isa_name(isa) << "\n" << to_string(spec));
    REQUIRE(complaint == "");
    for (const Decoded& d : kernel.instructions()) seen.insert(std::string(isa_name(isa)) + " " + d.name());
  }
}

/// And with extents and strides that are arguments.
void require_clean(const LoopSpec& spec, const std::string& name, std::set<std::string>& seen) {
  require_clean_as_is(spec, name, seen);
  for (const bool all : {true, false})
    require_clean_as_is(any_sized(spec, all, static_cast<uint64_t>(spec.sizes.back())), name + " of any size", seen);
}

std::vector<LoopSpec> every_operator() {
  std::vector<LoopSpec> all;
  for (int op = 0; op < static_cast<int>(Op::kCount); ++op)
    for (ScalarType t : {kBool, kLong, kFloat, kDouble})
      for (int64_t n : {5, 300}) {
        const Op o = static_cast<Op>(op);
        if (!can_emit(o, t)) continue;
        SpecBuilder b(LoopMode::Pointwise, {n});
        std::vector<int> in;
        const int operands = o == Op::clamp ? 2 : op_info(o).max_in;
        for (int i = 0; i < operands; ++i) in.push_back(b.load(o == Op::where && i == 0 ? kBool : t));
        b.store(b.compute(o, in, o == Op::clamp ? uint64_t{kClampMin} : 0));
        all.push_back(b.spec);
      }
  return all;
}

/// The smallest kernel for hand-made code: one range, no data.
std::string complaint_about(const std::vector<uint8_t>& code, Isa isa) {
  const std::vector<CodeRange> ranges = {{0, static_cast<uint32_t>(code.size()), -2}};
  return DecodedKernel(code.data(), code.size(), ranges, 1, 0, isa).complaint();
}

uint64_t hash_of(const std::vector<uint8_t>& bytes, size_t n) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < n; ++i) h = (h ^ bytes[i]) * 0x100000001b3u;
  return h;
}

}  // namespace

TEST_CASE("every instruction of every kernel is on the list, and every address is known") {
  std::set<std::string> seen;
  for (const Family& f : all_families())
    for (int64_t n : {0, 1, 3, 7, 8, 15, 16, 17, 33, 49, 64, 65, 130, 1100}) require_clean(f.make(n), f.name, seen);
  for (uint64_t seed = 0; seed < 2000; ++seed) require_clean(RandomSpec(seed).spec(), "seed " + std::to_string(seed), seen);
  for (const LoopSpec& spec : every_operator()) require_clean(spec, kernel_name(spec), seen);
  SpecBuilder large(LoopMode::Pointwise, {2, (int64_t{9} << 20) + 16});  // streams, and fetches ahead
  large.store(large.compute(Op::gelu, {large.load(kFloat)}));
  require_clean(large.spec, "large", seen);
  SpecBuilder rows(LoopMode::Row, {4096, 4096});
  const int x = rows.load(kFloat);
  rows.store(rows.compute(Op::sub, {x, rows.reduce(ReduceKind::Max, x)}));
  require_clean(rows.spec, "large rows", seen);
  std::string superfluous;  // a list that allows what is never emitted is too long
  for (Isa isa : {Isa::Avx2, Isa::Avx512})
    for (const auto* list : {&general_instructions(), &vector_instructions(isa)})
      for (const std::string& name : *list)
        if (const std::string entry = std::string(isa_name(isa)) + " " + name; !seen.count(entry)) superfluous += entry + ", ";
  REQUIRE(superfluous == "");
}

TEST_CASE("a row with too few operands is refused") {
  SpecBuilder b(LoopMode::Pointwise, {5});
  b.store(b.compute(Op::add, {b.load(kFloat)}));
  CompiledLoop loop;
  std::string why;
  CHECK_FALSE(compile_loop(b.spec, Isa::Avx2, loop, why));
  CHECK(why.find("add") != std::string::npos);
}

TEST_CASE("kernels with randomly chosen registers, lanes and unrolling keep to the list") {
  const StressedKernels stressed;
  std::set<std::string> seen;
  for (int round = 0; round < 3; ++round) {
    for (const Family& f : all_families())
      for (int64_t n : {1, 17, 49, 130, 1100}) {
        stressed.next();
        require_clean(f.make(n), f.name, seen);
      }
    for (uint64_t seed = 0; seed < 1000; ++seed) {
      stressed.next();
      require_clean(RandomSpec(seed).spec(), "seed " + std::to_string(seed), seen);
    }
  }
}

TEST_CASE("the decoder's rules see what they are for") {
  const auto kernel = [](const std::vector<uint8_t>& body) {
    std::vector<uint8_t> code;
    for (uint8_t b : {0xf3, 0x0f, 0x1e, 0xfa}) code.push_back(b);  // endbr64
    for (uint8_t b : body) code.push_back(b);
    for (uint8_t b : {0xc5, 0xf8, 0x77, 0xc3}) code.push_back(b);  // vzeroupper; ret
    return code;
  };
  const auto complains = [&](const std::vector<uint8_t>& body, const char* about, Isa isa = Isa::Avx512) {
    const std::string complaint = complaint_about(kernel(body), isa);
    INFO(complaint);
    REQUIRE(complaint.find(about) != std::string::npos);
  };
  REQUIRE(complaint_about(kernel({}), Isa::Avx2) == "");
  REQUIRE(complaint_about(kernel({0xc5, 0xfc, 0x10, 0x00}), Isa::Avx2) == "");  // vmovups ymm0, [rax]
  complains({0x0f, 0x05}, "not on the list");                                   // syscall
  complains({0x0f, 0x10, 0x00}, "not on the list");                             // movups xmm0, [rax]
  complains({0x62, 0xf1, 0x7c, 0x48, 0x10, 0x00}, "AVX512F", Isa::Avx2);        // vmovups zmm0, [rax]
  complains({0xc5, 0xfc, 0x10, 0x01}, "memory off rcx");                        // [rcx]
  complains({0x64, 0x48, 0x8b, 0x00}, "segment");                               // mov rax, fs:[rax]
  complains({0x48, 0x8b, 0x44, 0x24, 0x08}, "outside the frame");               // [rsp + 8]
  complains({0xc5, 0xfc, 0x10, 0x05, 0, 1, 0, 0}, "outside the data pool");     // [rip + 256]
  complains({0x62, 0xf2, 0x7d, 0xc9, 0x1a, 0x00}, "not on the list");           // vbroadcastf32x4 zmm0 {k1}{z}, [rax]
  complains({0x62, 0xf1, 0x7c, 0x49, 0x58, 0x00}, "masked access");             // vaddps zmm0 {k1}, zmm0, [rax]
  complains({0x62, 0xf1, 0x7c, 0x18, 0x58, 0xc1}, "embedded rounding");         // vaddps zmm0, zmm0, zmm1 {rn-sae}
  complains({0xff, 0xe0}, "indirect branch");                                   // jmp rax
  complains({0xeb, 0xfd}, "leads into an instruction");                         // jmp into itself
  complains({0xf3, 0x0f, 0x1e, 0xfa}, "endbr64 belongs at the entry");
  REQUIRE(complaint_about({0xc5, 0xf8, 0x77, 0xc3}, Isa::Avx2) != "");                                // no endbr64
  REQUIRE(complaint_about({0xf3, 0x0f, 0x1e, 0xfa, 0xc5, 0xfc, 0x10, 0x00, 0xc3}, Isa::Avx2) != "");  // no vzeroupper
}

TEST_CASE("a hundred compiles give the same bytes") {
  std::vector<LoopSpec> specs;
  for (uint64_t seed = 0; seed < 120; ++seed) specs.push_back(RandomSpec(seed).spec());
  for (const Family& f : all_families()) specs.push_back(f.make(37));
  const auto differs = [&](size_t from, int rounds) {
    for (size_t i = from; i < specs.size(); i += 2)
      for (Isa isa : {Isa::Avx2, Isa::Avx512}) {
        const CompiledLoop first = compiled(specs[i], isa);
        for (int round = 1; round < rounds; ++round) {
          mallopt(M_PERTURB, round);  // memory that nobody has written looks different each time
          const CompiledLoop again = compiled(specs[i], isa);
          if (again.code != first.code || again.scratch_bytes != first.scratch_bytes) return true;
        }
      }
    return false;
  };
  bool other = false;
  std::thread second([&] { other = differs(1, 100); });
  const bool one = differs(0, 100);
  second.join();
  mallopt(M_PERTURB, 0);
  REQUIRE_FALSE(one);
  REQUIRE_FALSE(other);
}

TEST_CASE("another process emits the same instructions") {
  const std::string file = std::filesystem::temp_directory_path() / ("sinter_code_" + std::to_string(getpid()));
  std::string texts[2];
  for (std::string& text : texts) {
    REQUIRE(test::run_child("[emit-child]", "SINTER_TEST_FILE_OF_CODE=" + file) == 0);
    std::ifstream in(file);
    text.assign(std::istreambuf_iterator<char>(in), {});
    REQUIRE(text.size() > 10000);
  }
  std::filesystem::remove(file);
  REQUIRE((texts[0] == texts[1]));
}
TEST_CASE("child: hashes of kernels", "[.][emit-child]") {
  std::ofstream out(getenv("SINTER_TEST_FILE_OF_CODE"));
  for (uint64_t seed = 0; seed < 300; ++seed)
    for (Isa isa : {Isa::Avx2, Isa::Avx512}) {
      const CompiledLoop loop = compiled(RandomSpec(seed).spec(), isa);
      out << hash_of(loop.code, loop.ranges.back().end) << " " << loop.code.size()
          << "\n";  // the data holds addresses of functions
    }
}

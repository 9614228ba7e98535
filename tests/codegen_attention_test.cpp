// Attention with emitted tiles: the eager kernel's bits on both instruction sets; operands flush with pages that fault;
// instructions of an allow-list.
#include <catch2/catch.hpp>
#include "attention_operands.h"
#include "codegen/attention/attention_kernel.h"
#include "codegen_decode.h"
#include "runtime/kernels/attention_order.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;
using namespace sinter::test;

namespace {

/// The kernel of a call, null when it has none.
std::shared_ptr<const AttentionKernel> kernel_of(const Call& call, Buffer& out) {
  AttentionShape shape;
  NoKernel why{};
  return settle_attention(call.args(out.view()), shape) ? get_attention(shape, why) : nullptr;
}

const Problem kMore[] = {{2, 8, 48, 64, 64},  {1, 9, 49, 16, 48},   {1, 64, 24, 7, 24},   {3, 31, 100, 64, 40},
                         {1, 65, 33, 64, 72}, {1, 12, 1030, 5, 16}, {2, 5, 30, 1100, 32}, {1, 40, 200, 64, 80}};

void check(const Problem& p, std::mt19937& rng, int& emitted) {
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
    for (const Mask kind : {Mask::None, Mask::Added, Mask::Kept, Mask::Filled})
      for (const uint64_t attr : {uint64_t{0}, uint64_t{kAttentionCausal}, uint64_t{kAttentionDivides}}) {
        if (attr & kAttentionCausal && kind != Mask::None) continue;
        const Operands in(rng, t, p, Layout::Dense, kind);
        const Call call = call_of(in, kind, attr, 0.41);
        Buffer expected(t, {p.heads, p.queries, p.width});
        call.run(expected);
        const auto kernel = kernel_of(call, expected);
        if (!kernel) continue;
        ++emitted;
        INFO(kernel->name() << ", width " << p.width << ", mask " << int(kind) << ", attr " << attr << ", type " << int(t));
        REQUIRE(run_guarded(call, expected, [&](const KernelArgs& args) { kernel->run(args); }) == "");
      }
}

}  // namespace

TEST_CASE("emitted attention has the eager kernel's bits and touches nothing beside its operands") {
  std::mt19937 rng(1);
  for (const Isa level : EachIsa()) {
    if (level == Isa::None) continue;
    set_isa_cap(level);
    int emitted = 0;
    for (const Problem& p : kProblems) check(p, rng, emitted);
    for (const Problem& p : kMore) check(p, rng, emitted);
    CHECK(emitted > 60);
  }
}

TEST_CASE("attention that needs copies of its operands, or is empty, is left to the eager kernel") {
  std::mt19937 rng(2);
  const EachIsa restore;
  const auto settles = [&](const Problem& p, Layout layout) {
    const Operands in(rng, ScalarType::Float, p, layout, Mask::None);
    Buffer out(ScalarType::Float, {p.heads, p.queries, p.width});
    AttentionShape shape;
    return settle_attention(call_of(in, Mask::None, 0, 1).args(out.view()), shape);
  };
  const Problem p{2, 3, 16, 4, 16};
  CHECK(settles(p, Layout::Dense));
  CHECK_FALSE(settles(p, Layout::Stepped));
  CHECK_FALSE(settles({2, 0, 16, 4, 16}, Layout::Dense));
  CHECK_FALSE(settles({2, 3, 0, 4, 16}, Layout::Dense));
  CHECK_FALSE(settles({2, 3, 16, 0, 16}, Layout::Dense));
  set_isa_cap(Isa::None);
  CHECK_FALSE(settles(p, Layout::Dense));
}

TEST_CASE("the tiles of attention are made of listed instructions and share their code") {
  std::mt19937 rng(3);
  static const std::set<std::string> also = {"jnl", "shr", "dec", "jz", "vmovupd", "vfmadd231pd", "int3"};
  for (const Isa level : EachIsa()) {
    if (level == Isa::None) continue;
    set_isa_cap(level);
    for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
      for (const Problem& p : kMore) {
        const Operands in(rng, t, p, Layout::Dense, Mask::None);
        Buffer out(t, {p.heads, p.queries, p.width});
        const Call call = call_of(in, Mask::None, 0, 1);
        const auto kernel = kernel_of(call, out), again = kernel_of(call, out);
        if (!kernel) continue;
        CHECK(kernel->disassembly().find("scores of") != std::string::npos);
        for (size_t i = 0; i < kernel->code.size(); ++i) {
          const auto& tile = kernel->code[i].second;
          CHECK(tile == again->code[i].second);
          ZydisDecoder decoder;
          ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
          const auto* code = reinterpret_cast<const uint8_t*>(tile->fn);
          for (size_t at = 0; at < tile->code_bytes;) {
            Decoded d{};
            REQUIRE(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code + at, tile->code_bytes - at, &d.inst, d.operands)));
            INFO(isa_name(level) << " " << d.name());
            REQUIRE(
                (general_instructions().count(d.name()) || vector_instructions(level).count(d.name()) || also.count(d.name())));
            REQUIRE(in_level(level, d.inst));
            at += d.inst.length;
          }
        }
      }
  }
}

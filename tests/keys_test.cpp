// What may be shared: kernels and programs are found by full equality, so whatever differs makes another one.
#include <catch2/catch.hpp>
#include <functional>
#include "codegen/kernel.h"
#include "codegen_reference.h"
#include "engine/program/region_key.h"
#include "region_tape.h"
#include "runtime/cpu.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::test;
using sinter::codegen::reference::SpecBuilder;

namespace {

/// max over rows of x + 1.5, and the distance of each element to it.
LoopSpec row_kernel(ScalarType t = kFloat) {
  SpecBuilder b(LoopMode::Row, {6, 24});
  const int y = b.compute(Op::add, {b.load(t), b.constant(t, 1.5)});
  const int m = b.reduce(ReduceKind::Max, y);
  b.store(b.compute(Op::sub, {y, m}));
  b.store(m, {1, 0});
  return b.spec;
}

LoopNode& node_of(LoopSpec& s, LoopKind kind, size_t nth = 0) {
  for (LoopNode& n : s.nodes)
    if (n.kind == kind && nth-- == 0) return n;
  throw std::logic_error("no such node");
}

Tape small_region() {
  Tape t;
  const int x = t.input({4, 8}), w = t.input({4, 8});
  const int a = t.scalar(Op::mul, t.binary(Op::sub, x, w), 2.0);
  const int v = t.call(Op::select, {a}, 0, {1});
  t.live(a);
  t.live(t.unary(Op::neg, v));
  return t;
}

}  // namespace

TEST_CASE("kernels that differ anywhere are not shared") {
  set_isa_cap(detected_isa());
  const std::vector<std::function<void(LoopSpec&)>> changes = {
      [](LoopSpec&) {},
      [](LoopSpec& s) { s.sizes[1] = 25; },
      [](LoopSpec& s) { s.mode = LoopMode::Column; },
      [](LoopSpec& s) { s.stores.pop_back(); },
      [](LoopSpec& s) { s.split = 0; },
      [](LoopSpec& s) { s.operands[0].strides[0] = 48; },
      [](LoopSpec& s) { s.operands[0].output = true; },
      [](LoopSpec& s) { s = row_kernel(kDouble); },
      [](LoopSpec& s) { node_of(s, LoopKind::Compute).op = Op::mul; },
      [](LoopSpec& s) { node_of(s, LoopKind::Constant).bits ^= 1; },
      [](LoopSpec& s) { node_of(s, LoopKind::Reduce).reduce = ReduceKind::Min; },
      [](LoopSpec& s) { std::swap(node_of(s, LoopKind::Compute, 1).in[0], node_of(s, LoopKind::Compute, 1).in[1]); },
  };
  std::vector<std::shared_ptr<const Kernel>> kernels;
  for (size_t i = 0; i < changes.size(); ++i) {
    LoopSpec spec = row_kernel();
    changes[i](spec);
    kernels.push_back(get_kernel(spec));
    INFO("change " << i);
    REQUIRE(kernels.back());
    REQUIRE(kernels.back()->spec == spec);
    for (size_t k = 0; k < i; ++k) REQUIRE(kernels[k] != kernels[i]);
  }
  REQUIRE(get_kernel(row_kernel()) == kernels[0]);
}

TEST_CASE("a lower instruction-set cap gets code of its own") {
  if (detected_isa() < Isa::Avx512) return;
  set_isa_cap(Isa::Avx512);
  const auto wide = get_kernel(row_kernel());
  const auto wide_key = region_key(small_region().region);
  set_isa_cap(Isa::Avx2);
  const auto narrow = get_kernel(row_kernel());
  const auto narrow_key = region_key(small_region().region);
  set_isa_cap(detected_isa());
  REQUIRE(disassemble(*wide, {}).find("zmm") != std::string::npos);
  REQUIRE(disassemble(*narrow, {}).find("zmm") == std::string::npos);
  REQUIRE(wide_key != narrow_key);
}

TEST_CASE("regions that differ anywhere have keys of their own") {
  const std::vector<std::pair<const char*, std::function<void(Region&)>>> changes = {
      {"operator", [](Region& r) { r.events[0].op = Op::add; }},
      {"flags", [](Region& r) { r.events[1].flags = kScalarLhs; }},
      {"operands", [](Region& r) { std::swap(r.events[0].in[0], r.events[0].in[1]); }},
      {"an operand more", [](Region& r) { r.events[0].in.push_back(-1); }},
      {"attribute", [](Region& r) { r.events[2].attr = 1; }},
      {"integers", [](Region& r) { r.events[2].ints[0] = 2; }},
      {"type of a scalar", [](Region& r) { r.events[1].scalar_types[0] = r.scalars[0] = kLong; }},
      {"number of scalars", [](Region& r) { r.events[1].n_scalars = 0; }},
      {"which scalar", [](Region& r) { r.events[1].first_scalar = 1; }},
      {"compute type", [](Region& r) { r.events[0].compute = kDouble; }},
      {"dtype", [](Region& r) { r.slots[0].meta.dtype = kDouble; }},
      {"sizes", [](Region& r) { r.slots[0].meta.sizes[0] = 5; }},
      {"strides", [](Region& r) { r.slots[0].meta.strides[0] = 16; }},
      {"offset", [](Region& r) { r.slots[4].meta.offset = 16; }},
      {"root", [](Region& r) { r.slots[4].root = 4; }},
      {"live set", [](Region& r) { r.live.pop_back(); }},
      {"overlap", [](Region& r) { r.overlapping_writes = true; }},
  };
  const auto key = region_key(small_region().region);
  REQUIRE(region_key(small_region().region) == key);
  for (const auto& [what, change] : changes) {
    INFO(what);
    Tape tape = small_region();
    change(tape.region);
    REQUIRE(region_key(tape.region) != key);
  }
  Tape named = small_region();  // names and source lines are no part of what a program does
  named.region.name = "another";
  named.region.events[0].loc.line = 77;
  REQUIRE(region_key(named.region) == key);
}

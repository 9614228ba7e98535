// Random regions as graphs: every pass, in any order, must leave a valid graph with the same values, and the compiled program
// must give what the events give one by one.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include "elements.h"
#include "engine/graph/build.h"
#include "engine/graph/geometry.h"
#include "engine/passes/passes.h"
#include "random_region.h"

using namespace sinter;
using sinter::test::Bytes;
using sinter::test::elements;
using sinter::test::Interpreted;
using sinter::test::ProgramRun;
using sinter::test::RandomRegion;
using sinter::test::Tape;

namespace {

std::string where;  // the pass or step at work

[[noreturn]] void differ(const Tape& tape, const Graph& graph, const std::string& what) {
  std::fprintf(stderr, "after %s: %s\n%s%s", where.c_str(), what.c_str(), to_string(tape.region).c_str(), graph.str().c_str());
  std::abort();
}

/// The values of a graph, each node run by its eager kernel.
class Evaluated {
 public:
  Evaluated(const Tape& tape, const Graph& graph) : graph_(graph), at_(graph.nodes.size(), nullptr) {
    inputs_ = tape.input_bytes;
    for (size_t v = 0; v < graph.nodes.size(); ++v)
      if (!graph.nodes[v].dead) evaluate(static_cast<ValueId>(v), tape.scalars);
  }
  std::string value(ValueId v) const {
    const TensorMeta& m = graph_[v].meta;
    return elements(m.dtype, m.sizes, m.strides, at_[static_cast<size_t>(v)]);
  }

 private:
  TensorView view_of(ValueId v) const {
    if (v < 0) return {};
    const TensorMeta& m = graph_[v].meta;
    return {at_[static_cast<size_t>(v)], m.dtype, m.sizes, m.strides};
  }
  void evaluate(ValueId v, const std::vector<Scalar>& scalars) {
    const GraphNode& n = graph_[v];
    char*& at = at_[static_cast<size_t>(v)];
    if (n.is_input()) {
      at = inputs_[static_cast<size_t>(n.input)].data();
    } else if (n.is_view()) {
      at = at_[static_cast<size_t>(n.in[0])] + n.meta.offset * static_cast<int64_t>(element_size(n.meta.dtype));
    } else {
      made_.push_back(std::make_unique<char[]>(static_cast<size_t>(buffer_bytes(n.meta)) + 1));
      at = made_.back().get();
      run(v, scalars);
    }
  }
  void run(ValueId v, const std::vector<Scalar>& scalars) {
    const GraphNode& n = graph_[v];
    if (n.numel() == 0) return;
    std::vector<TensorView> in;
    for (ValueId o : n.in) in.push_back(view_of(o));
    Scalar values[kMaxScalars];
    for (size_t i = 0; i < n.scalars.size(); ++i)
      values[i] = n.scalars[i].input >= 0 ? scalars[static_cast<size_t>(n.scalars[i].input)] : n.scalars[i].constant;
    KernelArgs a;
    a.op = n.op;
    a.flags = n.flags;
    a.n_scalars = static_cast<uint8_t>(n.scalars.size());
    a.compute = n.compute;
    a.out = view_of(v);
    a.in = in;
    a.attr = n.attr;
    a.ints = n.ints;
    a.scalars = values;
    run_kernel(a);
  }
  const Graph& graph_;
  std::vector<std::vector<char>> inputs_;
  std::vector<std::unique_ptr<char[]>> made_;
  std::vector<char*> at_;
};

std::string expected_value(const Interpreted& expected, const Tape& tape, int32_t slot) {
  const TensorMeta& m = tape.meta(slot);
  return elements(m.dtype, m.sizes, m.strides, expected.bytes(slot).data());
}

void check(const Tape& tape, const Graph& graph, const Interpreted& expected) {
  try {
    graph.verify();
  } catch (const Error& e) { differ(tape, graph, e.what()); }
  const Evaluated now(tape, graph);
  for (const GraphOutput& out : graph.outputs)
    if (now.value(out.value) != expected_value(expected, tape, out.slot))
      differ(tape, graph, "output of slot " + std::to_string(out.slot) + " has another value");
}

void check_passes(const Tape& tape, Graph graph, Bytes& in, const Interpreted& expected) {
  static constexpr struct {
    const char* name;
    bool (*run)(Graph&);
  } kPasses[] = {{"decompose", decompose},     {"fold_views", fold_views},         {"simplify", simplify},
                 {"merge_equal", merge_equal}, {"settle_outputs", settle_outputs}, {"remove_dead", remove_dead}};
  where = "build_graph";
  check(tape, graph, expected);
  for (int i = in.pick(7); i > 0; --i) {
    const auto& pass = kPasses[in.pick(6)];
    where = pass.name;
    pass.run(graph);
    check(tape, graph, expected);
  }
  where = "run_passes";
  run_passes(graph);
  check(tape, graph, expected);
}

void check_program(const Tape& tape, const Interpreted& expected) {
  const auto program = compile_region(tape.region);
  if (!program) return;
  where = "compile_region";
  const ProgramRun run(tape, *program);
  const auto same = [&](int32_t slot, const void* bytes) {
    const TensorMeta& m = tape.meta(slot);
    if (elements(m.dtype, m.sizes, m.strides, bytes) != expected_value(expected, tape, slot))
      differ(tape, program->graph, "slot " + std::to_string(slot) + " has another value\n" + program->str());
  };
  for (size_t i = 0; i < run.outputs.size(); ++i) same(tape.region.live[i], run.outputs[i]->data);
  for (size_t i = 0; i < run.inputs.size(); ++i) same(tape.region.inputs[i], run.inputs[i].data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static uint64_t runs = 0;
  if (runs++ % 256 == 0) clear_program_cache();
  set_verify_passes(true);
  Bytes in(data, size);
  const RandomRegion region(in);
  const Tape& tape = region.tape;
  std::unique_ptr<Interpreted> expected;
  try {
    expected = std::make_unique<Interpreted>(tape);
  } catch (const DtypeError&) { return 0; }  // an operator without an eager kernel for this type
  Graph graph;
  if (build_graph(tape.region, graph)) check_passes(tape, std::move(graph), in, *expected);
  check_program(tape, *expected);
  return 0;
}

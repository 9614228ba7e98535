// Runs a program once: the body that is compiled, and what a run leaves to be seen.
#pragma once
#include "program.h"

namespace sinter::test {

struct Run {
  std::vector<Tensor> values;       // by slot; undefined where nothing is held
  std::vector<std::string> errors;  // statement, type and text of each exception
  int valid = 0, invalid = 0;       // statements
};

std::vector<Tensor> make_inputs(const Program& p, const Call& call);
/// The statements, then the backward pass when it belongs inside. Throws what the program lets escape.
void run_body(const Program& p, const Call& call, Run& run);
/// Runs one statement; false when no slot holds an operand.
bool run_step(const Program& p, size_t step, const Call& call, std::vector<Tensor>& values);
/// The slot, or the next one below it (then from the top) that holds a tensor; -1 when none does.
int held_slot(const std::vector<Tensor>& values, int slot);
/// The sizes of an input in a call.
std::vector<int64_t> sizes_for(const Input& in, const Call& call);
ScalarType dtype_for(const Input& in, bool cast);
/// Gradients of the sum of everything held that requires them.
void run_backward(Run& run);
/// Inputs to values, then `body`, then what belongs outside of it. An exception that leaves `body` is noted.
template <class Body>
Run run_program(const Program& p, const Call& call, const std::vector<Tensor>& inputs, Body&& body);
void note_error(Run& run, const std::string& where, const std::exception& e);

template <class Body>
Run run_program(const Program& p, const Call& call, const std::vector<Tensor>& inputs, Body&& body) {
  Run run;
  run.values = inputs;
  run.values.resize(p.inputs.size() + p.steps.size());
  try {
    body(run, call);
  } catch (const std::exception& e) { note_error(run, "escaped", e); }
  if (p.backward == Backward::Outside) run_backward(run);
  return run;
}

}  // namespace sinter::test

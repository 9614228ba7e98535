// Makes random programs whose statements fit the shapes and dtypes of their operands.
#pragma once
#include "choices.h"
#include "program.h"

namespace sinter::test {

/// Every choice comes from `choices`. Statements are tried eagerly, at two sizes, while the program grows; one that throws is
/// not taken, except for the few that are meant to.
Program generate_program(Choices& choices);
/// Takes a statement out; what used its result uses its first operand.
void remove_step(Program& p, size_t step);
/// The program of a seed, always the same.
Program random_program(uint64_t seed);

}  // namespace sinter::test

// Random walks over {call, change state, undo}: each call of a compiled function must do what a fresh eager run does.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sinter::test {

/// One step. `what` counts through the knobs (set), the events, then kCall and kUndo.
struct WalkStep {
  uint8_t what = 0, arg = 0;
};

struct Walk {
  uint64_t seed = 0;                           // of parameters and data
  std::array<std::vector<uint8_t>, 2> blocks;  // of the two functions
  std::vector<WalkStep> steps;
};

/// What walks did, summed up.
struct WalkCounts {
  int64_t walks = 0, calls = 0, thrown = 0, replayed = 0;
  int64_t compiles = 0, recompiles = 0, interpreted = 0, fallbacks = 0, undone = 0, precision_checks = 0;
  std::vector<int64_t> changes;  // by kind
};

Walk random_walk(uint64_t seed, size_t length = 50);
/// Any bytes are a walk; walks of random_walk survive the round trip.
Walk walk_of_bytes(const uint8_t* data, size_t size);
std::vector<uint8_t> bytes_of_walk(const Walk& walk);

/// Walks an eager and a compiled world in step and compares them after each call. Empty when they agree throughout, when
/// undoing everything brought the world back, and when states that were seen do not compile again.
std::string run_walk(const Walk& walk, WalkCounts& counts);
/// Drops steps and blocks while some difference stays.
Walk shrink(Walk walk);
/// The walk as a person can follow it.
std::string listing(const Walk& walk);
/// Name of a kind of change, for the counts.
std::string change_name(size_t kind);

}  // namespace sinter::test

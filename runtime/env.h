// The environment variables sinter reads: one table, read once at start.
#pragma once
#include <cstdint>
#include <string>

namespace sinter {

struct Env {
#define ENV_INT(field, name, dflt, min, max, text) int64_t field = dflt;
#define ENV_STR(field, name, dflt, text) std::string field = dflt;
#include "env.def"
#undef ENV_INT
#undef ENV_STR
};

/// Values as read at the first use. Malformed ones keep their default after one warning on stderr; an unknown
/// SINTER_* name warns with the nearest known one. Ignored altogether in privileged processes (AT_SECURE).
const Env& env();
/// Reads the table from `environ` again, as at start (tests). Returns the warnings.
std::string read_env(Env& into);
/// The table as text: name, default, current value, meaning.
std::string env_table();

}  // namespace sinter

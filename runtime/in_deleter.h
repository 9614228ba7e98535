// Whether this thread runs the deleter of a tensor's foreign memory. Exceptions end the process there, so what the engine throws
// only to tell the user something (a graph break under fullgraph, a recompile that is not wanted) is not thrown.
#pragma once

namespace sinter {

extern constinit thread_local int deleters_running;

}  // namespace sinter

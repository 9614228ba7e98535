// Source locations that outlive their library.
#pragma once
#include "loc.h"

namespace sinter {

/// The same place with a file name that stays readable: the caller's may be in a shared library that is unloaded later. Whatever
/// is kept beyond a call keeps this. A literal of the program that sinter is linked into is returned as it is. Thread-safe.
/// @throws OutOfMemoryError.
Loc interned(Loc loc);

}  // namespace sinter

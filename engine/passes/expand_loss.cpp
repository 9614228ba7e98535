#include "expand.h"

namespace sinter {

ValueId expand_loss(Expansion&, const GraphNode&) { return -1; }

}  // namespace sinter

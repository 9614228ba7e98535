#!/usr/bin/env bash
# Fails when a source file of the tree ROOT has more than 1,000 lines, or a line more than 160 characters.
#   tests/sizes.sh ROOT
set -euo pipefail
cd "$1"
find runtime codegen engine frontend tests bench samples \( -name '*.h' -o -name '*.cpp' -o -name '*.inc' \) -print0 |
  xargs -0 awk '
    FNR == 1001 {print FILENAME ": more than 1,000 lines"; ++faults}
    length($0) > 160 {print FILENAME ":" FNR ": " length($0) " characters"; ++faults}
    END {print "sizes: " faults + 0 " faults"; exit faults > 0}'

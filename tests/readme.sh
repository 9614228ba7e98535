#!/usr/bin/env bash
# Fails when README's table of environment variables and runtime/env.def of the tree ROOT differ in names or meanings.
#   tests/readme.sh ROOT
set -euo pipefail
cd "$1"
table=$(sed -nE 's/^\| `(SINTER_[A-Z_]+)` \| [^|]*\| (.*) \|$/\1 \2/p' README.md | sort)
defined=$(sed -nE 's/^ENV_(INT|STR)\([^"]*"(SINTER_[A-Z_]+)".*, "(.*)"\)$/\2 \3/p' runtime/env.def | sort)
[ -n "$defined" ] || { echo "no variables found in runtime/env.def"; exit 2; }
diff <(echo "$table") <(echo "$defined") && echo "readme: $(wc -l <<<"$defined") variables agree"

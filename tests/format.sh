#!/usr/bin/env bash
# Fails when clang-format 14 would change a source file of the tree ROOT; exits 77 (skipped) when it is not installed.
#   tests/format.sh ROOT
set -euo pipefail
tool=$(command -v clang-format-14 || command -v clang-format || true)
case "$([ -n "$tool" ] && "$tool" --version)" in
  *"version 14."*) ;;
  *) echo "clang-format 14 is not installed; skipped"; exit 77 ;;
esac
cd "$1"
changed=$(find runtime codegen engine frontend tests bench samples \( -name '*.h' -o -name '*.cpp' \) -print0 |
  xargs -0 "$tool" --dry-run 2>&1 | sed -nE 's/^([^:]+:[0-9]+):[0-9]+: warning: .*/\1/p' | sort -u)
[ -z "$changed" ] && { echo "format: clean"; exit 0; }
echo "$changed" | cut -d: -f1 | uniq -c | sort -rn
echo "format: $(wc -l <<<"$changed") lines differ (fix: clang-format -i FILE)"
exit 1

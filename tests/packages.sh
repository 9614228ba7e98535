# Debian packages sinter is built from; sourced by samples/run.sh, tests/run.sh and bench/run.sh.
SINTER_PACKAGES="cmake ninja-build g++ ccache libasmjit-dev libxbyak-dev libeigen3-dev catch2 libspdlog-dev libfmt-dev
  libzydis-dev nlohmann-json3-dev libbenchmark-dev"

# Installs what is missing of the given packages (default: all above). Needs no rights when nothing is missing.
ensure_packages() {
  local missing="" package
  for package in ${*:-$SINTER_PACKAGES}; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
      echo "missing Debian packages (install them as root: apt-get install$missing)" >&2
      return 1
    fi
    sudo="sudo -n"
  fi
  echo "installing$missing"
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >/dev/null ||
    { $sudo apt-get update -q >/dev/null && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; }
}

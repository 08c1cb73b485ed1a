# shellcheck shell=bash
# What `dev` and its helpers share. Sourced at the project's root.

step() {
  printf '==> %s\n' "$*" >&2
}

# Every clone and worktree shares what ccache has: it sees paths relative to the project's root.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# quietly <command...>: its output is shown only where it fails, or whole with VERBOSE=1.
quietly() {
  if [[ ${VERBOSE:-} == 1 ]]; then
    "$@" >&2
    return
  fi
  mkdir -p build
  local log
  log=$(mktemp build/step.XXXXXX)
  if "$@" >"$log" 2>&1 </dev/null; then
    # Warnings of our own compiler runs are worth a reader's time even where the build succeeds.
    grep -E '(warning|WARNING):' "$log" >&2 || true
    rm -f "$log"
  else
    local status=$?
    cat "$log" >&2
    rm -f "$log"
    return "$status"
  fi
}

# The thread sanitizer of GCC 12 needs its shadow where kernels with 32 random bits put programs.
without_address_randomisation() {
  if [[ $1 == tsan ]] && setarch --addr-no-randomize true 2>/dev/null; then
    echo "setarch --addr-no-randomize"
  fi
}

# Tracked C++ files; in an export without git, all of them.
cpp_files() {
  if ! git ls-files '*.cpp' '*.hpp' 2>/dev/null; then
    find actors bench config examples http terminal tests -name '*.[ch]pp'
  fi
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "needs root: $*" >&2
    return 1
  fi
}

# missing_packages <group...>: of scripts/packages, those not installed, in one call of dpkg-query.
missing_packages() {
  local group name alternative first installed
  # What a package provides counts: npm comes with nodejs from elsewhere, and conflicts with Debian's.
  installed=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package}, ${Provides}\n' 2>/dev/null |
    sed -n 's/([^)]*)//g; s/^ii *//p' | tr ',\n' '  ') "
  while read -r group name; do
    [[ -z $group || $group == \#* ]] && continue
    [[ " $* " == *" $group "* ]] || continue
    first=
    for alternative in ${name//|/ }; do
      if [[ $installed == *" $alternative "* ]]; then
        first=
        continue 2
      fi
      [[ -z $first ]] && first=$alternative
    done
    echo "$name"
  done <scripts/packages
}

# install_packages <group...>: instant where nothing is missing.
install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -eq 0 ]] && return
  step "install ${missing[*]}"
  apt_install "${missing[@]}" && return
  # Lists that are missing or older than the mirror: fetch them, and try once more after a failure.
  step "update the package lists"
  quietly apt_get update || quietly apt_get update
  apt_install "${missing[@]}" || apt_install "${missing[@]}"
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 \
    -o DPkg::Lock::Timeout=300 "$@"
}

# apt_install <name or name|name...>: of alternatives, the first that this release has.
apt_install() {
  local names=() alternatives alternative
  for alternatives in "$@"; do
    for alternative in ${alternatives//|/ }; do
      if [[ -n $(apt-cache madison "$alternative" 2>/dev/null) ]]; then
        names+=("$alternative")
        continue 2
      fi
    done
    return 1 # no list knows it yet
  done
  quietly apt_get install --no-install-recommends "${names[@]}"
}

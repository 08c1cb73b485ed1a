# shellcheck shell=bash
# What `dev` and its helpers share. Sourced at the project's root.

export DEV_STARTED=${DEV_STARTED:-$EPOCHSECONDS}

# In CI with the seconds since the beginning: where its time goes is asked for again and again.
step() {
  local since=
  [[ ${CI:-} == true ]] && since="$((EPOCHSECONDS - DEV_STARTED)) s: "
  printf '==> %s%s\n' "$since" "$*" >&2
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

# make_debian_root <release> <folder> [package...]: once, with debootstrap from the first mirror that
# apt uses here, whatever form its sources have. For root.
make_debian_root() {
  local release=$1 where=$2 mirror packages
  [[ -f $where/made ]] && return
  # shellcheck disable=SC2016 # apt's own placeholders
  mirror=$(apt-get indextargets --format '$(SITE)|$(REPO_URI)|$(ORIGIN)' 2>/dev/null |
    awk -F'|' '$3 == "Debian" && $2 !~ /security/ { sub(/\/$/, "", $2); print $2; exit }')
  if [[ -z $mirror ]]; then
    echo "no Debian mirror among apt's sources (try apt-get update)" >&2
    return 1
  fi
  step "make a Debian root of $release in ${where#"$PWD"/}"
  packages=$(IFS=,; echo "${*:3}")
  rm -rf --one-file-system "$where"
  mkdir -p "$where"
  quietly debootstrap --variant=minbase ${packages:+"--include=$packages"} "$release" "$where" "$mirror"
  cp /etc/resolv.conf "$where/etc/resolv.conf"
  touch "$where/made"
}

# debian_source <source package> <version> <folder>: the upstream archive of a source package, which
# apt verifies, unpacked. The machine's own sources, each "deb" read as "deb-src", in a place of our
# own: apt's settings, lists and caches stay as they are, and no root is needed.
debian_source() {
  local package=$1 version=$2 where=$3 apt=$3.apt file
  rm -rf "$where" "$apt"
  mkdir -p "$where" "$apt/sources.list.d" "$apt/lists/partial" "$apt/cache/archives/partial"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -f $file ]] || continue
    sed -n 's/^[[:space:]]*deb\([[:space:]]\)/deb-src\1/p' "$file" \
      >"$apt/sources.list.d/$(basename "$file" .list).list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] || continue
    sed 's/^Types:.*/Types: deb-src/I' "$file" >"$apt/sources.list.d/$(basename "$file")"
  done
  step "fetch the source of $package $version"
  quietly fetch_source "$apt" "$package=$version" || quietly fetch_source "$apt" "$package=$version"
  tar -xf "$apt"/*.orig.tar.* -C "$where" --strip-components=1
  rm -rf "$apt"
}

# fetch_source <folder for apt> <package=version>: leaves the archive in that folder.
fetch_source() {
  local apt=$1
  local options=(
    -q -y -o Acquire::Retries=3
    -o "Dir::Etc::sourcelist=/dev/null"
    -o "Dir::Etc::sourceparts=$apt/sources.list.d"
    -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache"
    -o "APT::Sandbox::User=root"
  )
  apt-get "${options[@]}" update || true # a foreign source without deb-src is no obstacle
  (cd "$apt" && apt-get "${options[@]}" source --download-only --tar-only --only-source "$2")
}

# own_network <command...>: with loopback and nothing else, so that every port is free. For root.
# Without iproute2, which a small machine lacks.
own_network() {
  # shellcheck disable=SC2016 # expanded inside
  unshare --net bash -euc '
    python3 -c "
import fcntl, socket, struct
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack(\"16sh\", b\"lo\", 1)) # SIOCSIFFLAGS, IFF_UP"
    exec "$@"' own_network "$@"
}

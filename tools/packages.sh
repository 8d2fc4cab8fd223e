# The Debian packages of the libraries that the program is built with, and two ways to get packages; for other scripts.
# shellcheck shell=bash disable=SC2034
LIBRARIES_DEV="libcurl4-openssl-dev libssl-dev libjansson-dev libzstd-dev zlib1g-dev libxxhash-dev libsqlite3-dev
  libyaml-dev libexpat1-dev libmicrohttpd-dev"

# install_missing WHO PACKAGE...: with apt, what is not there.
install_missing() {
  local who=$1 missing=() p sudo=; shift
  for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "$who: installing with apt: ${missing[*]}"
  [ "$(id -u)" = 0 ] || sudo=sudo
  if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
    echo "$who: not root and no sudo: install these packages and run again: ${missing[*]}" >&2; exit 1
  fi
  $sudo apt-get update -q >/dev/null
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}" >build-apt.log 2>&1 ||
    { tail -20 build-apt.log >&2; exit 1; }
  rm -f build-apt.log
}

# unpack_packages ARCH ROOT PACKAGE...: these and what they depend on, for that architecture, into ROOT. Nothing is
# installed or run; apt has a state of its own, so the system is left as it is.
unpack_packages() {
  local arch=$1 root=$2 state; shift 2
  state=$(mktemp -d)
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"; : >"$state/status"
  local apt=(-o "APT::Architecture=$arch" -o "APT::Architectures::=$arch" -o "Dir::State=$state" -o "Dir::State::lists=$state/lists"
    -o "Dir::State::status=$state/status" -o "Dir::Cache=$state/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o APT::Install-Recommends=0)
  if ! { apt-get "${apt[@]}" -q update && apt-get "${apt[@]}" -yq --download-only install "$@"; } >"$state/log" 2>&1; then
    tail -20 "$state/log" >&2; rm -rf "$state"; return 1
  fi
  rm -rf "$root"; mkdir -p "$root"/usr/{lib,bin,sbin}
  ln -s usr/lib "$root/lib"; ln -s usr/bin "$root/bin"; ln -s usr/sbin "$root/sbin" # as Debian has it
  local deb
  for deb in "$state"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root" --no-same-owner
  done
  rm -rf "$state"
}

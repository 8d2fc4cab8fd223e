#!/usr/bin/env bash
# Installs what a build, the tests and the demo need, and nothing that is there already: Debian
# packages (as root or through sudo), and Python packages into build/venv.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/packages.sh
. tools/packages.sh
want="gcc make pkg-config $LIBRARIES_DEV libcmocka-dev python3 python3-venv ca-certificates"
missing=()
for p in $want; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "deps: installing with apt: ${missing[*]}"
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
    echo "deps: not root and no sudo: install these packages and run again: ${missing[*]}" >&2; exit 1
  fi
  $sudo apt-get update -q >/dev/null
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}" >build-apt.log 2>&1 ||
    { tail -20 build-apt.log >&2; exit 1; }
  rm -f build-apt.log
fi
if ! cmp -s tools/requirements.txt build/venv/.done 2>/dev/null; then
  echo "deps: Python packages into build/venv: $(grep -vc '^#' tools/requirements.txt) pinned"
  mkdir -p build
  [ -x build/venv/bin/python ] || python3 -m venv build/venv
  build/venv/bin/python -m pip install -q --disable-pip-version-check -r tools/requirements.txt
  cp tools/requirements.txt build/venv/.done
fi

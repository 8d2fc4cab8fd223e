#!/usr/bin/env bash
# Installs what a build, the tests and the demo need, and nothing that is there already: Debian
# packages (as root or through sudo), and Python packages into build/venv.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/packages.sh
. tools/packages.sh
# shellcheck disable=SC2086
install_missing deps gcc make $LIBRARIES_DEV libcmocka-dev python3 python3-venv ca-certificates
if ! cmp -s tools/requirements.txt build/venv/.done 2>/dev/null; then
  echo "deps: Python packages into build/venv: $(grep -vc '^#' tools/requirements.txt) pinned"
  mkdir -p build
  [ -x build/venv/bin/python ] || python3 -m venv build/venv
  build/venv/bin/python -m pip install -q --disable-pip-version-check -r tools/requirements.txt
  cp tools/requirements.txt build/venv/.done
fi

#!/usr/bin/env bash
# make test-image: builds the image for arm64 and amd64 by the Dockerfile and runs it as ECS does: not root, no capabilities, a
# read-only root. No daemon and no registry is needed: buildah builds on a Debian that debootstrap makes, in build-image
# (BASE_TAR=FILE: another root file system to build on). Root only, as both tools want it.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/packages.sh
. tools/packages.sh
[ "$(id -u)" = 0 ] || { echo "test-image: run it as root: buildah and debootstrap want to be" >&2; exit 1; }
install_missing test-image buildah debootstrap qemu-user-static
work=$PWD/build-image; mkdir -p "$work"
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n' "$work" "$work" >"$work/storage.conf"
export CONTAINERS_STORAGE_CONF=$work/storage.conf
containers=()
trap 'for c in "${containers[@]}"; do buildah umount "$c" >/dev/null 2>&1; buildah rm "$c" >/dev/null 2>&1; done' EXIT

if ! buildah inspect --type image localhost/inlet-base >/dev/null 2>&1; then
  base=${BASE_TAR:-}
  if [ -z "$base" ]; then
    echo "test-image: a Debian to build on, by debootstrap"
    mirror=$(sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *(https?:[^ ]*).*/\3/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null | head -1) || true
    rm -rf "$work/base"
    debootstrap --variant=minbase bookworm "$work/base" ${mirror:+"$mirror"} >"$work/debootstrap.log" 2>&1 || { tail -5 "$work/debootstrap.log" >&2; exit 1; }
    base=$work/base
  fi
  c=$(buildah from scratch); containers+=("$c")
  buildah add -q "$c" "$base" / >/dev/null
  buildah commit -q "$c" localhost/inlet-base >/dev/null
  rm -rf "$work/base"
fi

mounted() { # ARCH: builds the image and leaves its root in $root
  echo "test-image: linux/$1"
  PATH=$work/bin:$PATH BASE=localhost/inlet-base tools/image.sh build "inlet:$1" "linux/$1" >"$work/$1.log" 2>&1 || { tail -20 "$work/$1.log" >&2; exit 1; }
  local c; c=$(buildah from --platform "linux/$1" --pull-never "localhost/inlet:$1"); containers+=("$c")
  root=$(buildah mount "$c")
  buildah inspect --type image "localhost/inlet:$1" >"$work/$1.json"
}
mkdir -p "$work/bin"; printf '#!/bin/sh\nexit 1\n' >"$work/bin/docker"; chmod +x "$work/bin/docker" # buildah, whatever else is here
mounted arm64; arm64=$root
mounted amd64; amd64=$root
IMAGE_ARM64=$arm64 IMAGE_AMD64=$amd64 IMAGE_CONFIG=$work build/venv/bin/python -m pytest -q -p no:cacheprovider tests/infra/image.py

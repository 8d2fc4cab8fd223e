#!/usr/bin/env bash
# The container image by docker, or by buildah where no docker daemon answers.
#   image.sh build NAME [PLATFORM]     for this machine, or linux/arm64, linux/amd64
#   image.sh check                     is there something to build with?
#   image.sh push  NAME PLATFORM       builds and pushes; the registry's password on stdin, its host in REGISTRY
# BASE=IMAGE: another base to build on than Debian's slim image. Either platform is built on either machine, without
# emulation: the program is cross-compiled, and the image itself runs nothing while it is built.
set -euo pipefail
cd "$(dirname "$0")/.."
verb=${1:?} name=${2:-} platform=${3:-} engine=
if command -v docker >/dev/null && docker info >/dev/null 2>&1; then engine=docker; elif command -v buildah >/dev/null; then engine=buildah; fi
[ -n "$engine" ] || { echo "image: docker (its daemon running) or buildah is needed: apt-get install buildah" >&2; exit 1; }
[ "$verb" != check ] || exit 0
args=(); [ -z "$platform" ] || args+=(--platform "$platform")
[ -z "${BASE:-}" ] || args+=(--build-arg "BASE=$BASE")
if [ $engine = docker ]; then
  [ "$verb" = build ] || docker login -u AWS --password-stdin "${REGISTRY:?}"
  docker build "${args[@]}" -t "$name" .
  [ "$verb" = build ] || docker push "$name"
else
  # buildah 1.28 knows the builder's platform only if it is told
  args+=(--build-arg "BUILDPLATFORM=linux/$(dpkg --print-architecture)" --isolation "${ISOLATION:-chroot}" --format docker)
  [ -z "${BASE:-}" ] || args+=(--pull-never)
  [ "$verb" = build ] || buildah login -u AWS --password-stdin "${REGISTRY:?}"
  buildah bud "${args[@]}" -t "$name" .
  [ "$verb" = build ] || buildah push "$name"
fi

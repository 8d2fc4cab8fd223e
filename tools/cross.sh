#!/usr/bin/env bash
# The program for arm64 or amd64 on any Debian: cross.sh ARCH build|test|libraries DIR|root DIR. Debian's compiler for that architecture; its
# libraries unpacked into build-ARCH-root, beside the system and not into it; the unit tests under qemu where they must.
#   build     build-ARCH/inlet
#   test      and the unit tests for that architecture
#   root DIR  the image's whole root file system in DIR: the program, the health check, the libraries that they load, no more
set -euo pipefail
cd "$(dirname "$0")/.."
arch=${1:?} verb=${2:-build}
# shellcheck source=tools/packages.sh
. tools/packages.sh
case $arch in
  arm64) cpu=aarch64 ;;
  amd64) cpu=x86_64 ;;
  *) echo "cross: arm64 or amd64, not '$arch'" >&2; exit 2 ;;
esac
triple=$cpu-linux-gnu root=$PWD/build-$arch-root native=
[ "$(dpkg --print-architecture)" != "$arch" ] || native=yes
compiler=(make "gcc-${triple/_/-}" "binutils-${triple/_/-}")
[ -z "$native" ] || compiler=(make gcc binutils)
[ "$verb" != test ] || [ -n "$native" ] || compiler+=(qemu-user-static)
install_missing cross "${compiler[@]}"

wanted="$LIBRARIES_DEV libcmocka-dev libc6-dev libgcc-s1"
if [ "$(cat "$root/.done" 2>/dev/null)" != "$wanted" ]; then
  echo "cross: libraries for $arch into ${root##*/}"
  # shellcheck disable=SC2086
  unpack_packages "$arch" "$root" $wanted
  echo "$wanted" >"$root/.done"
fi
cross=(B="build-$arch" "CC=$triple-gcc --sysroot=$root" "AR=$triple-ar")
make --no-print-directory -s -j2 "${cross[@]}" "build-$arch/inlet"

# libraries BINARY DIR: copies what it loads, and what that loads.
libraries() {
  local name file
  "$triple-readelf" -d "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | while read -r name; do
    [ ! -e "$2/$name" ] || continue
    file=$root/usr/lib/$triple/$name
    [ -e "$file" ] || { [[ $name == ld-linux* ]] && continue; echo "cross: $1 loads $name, which $root lacks" >&2; exit 1; }
    cp -L "$file" "$2/$name"
    libraries "$file" "$2"
  done
}

case $verb in
  build) ;;
  test)
    [ -n "$native" ] || export RUN="qemu-$cpu-static -L $root"
    ${RUN:-} "build-$arch/inlet" --version
    make --no-print-directory -s -j2 "${cross[@]}" unit ;;
  libraries)
    out=${3:?}; mkdir -p "$out"
    libraries "build-$arch/inlet" "$out"
    cp -L "$root/usr/lib/$triple/libgcc_s.so.1" "$out/" # loaded by name when a thread ends
    cp -L "$root"/usr/lib/"$triple"/ld-linux-*.so.* "$out/" ;;
  root)
    out=${3:?}; mkdir -p "$out"/{tmp,etc/ssl/certs,usr/local/bin,usr/lib/"$triple",usr/lib64}
    ln -sfn usr/lib "$out/lib"; ln -sfn usr/lib64 "$out/lib64"; chmod 1777 "$out/tmp"
    "$triple-strip" -o "$out/usr/local/bin/inlet" "build-$arch/inlet"
    "$triple-gcc" "--sysroot=$root" -std=gnu17 -O2 -Wall -Wextra -Werror -s -o "$out/usr/local/bin/inlet-health" tools/inlet-health.c
    "$0" "$arch" libraries "$out/usr/lib/$triple"
    case $arch in # where the kernel looks for the loader
      arm64) ln -sfn "$triple/ld-linux-aarch64.so.1" "$out/usr/lib/ld-linux-aarch64.so.1" ;;
      amd64) ln -sfn "../lib/$triple/ld-linux-x86-64.so.2" "$out/usr/lib64/ld-linux-x86-64.so.2" ;;
    esac
    cp /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/"
    printf 'inlet:x:65532:65532:inlet:/tmp:/sbin/nologin\n' >"$out/etc/passwd"
    printf 'inlet:x:65532:\n' >"$out/etc/group"
    printf 'hosts: files dns\n' >"$out/etc/nsswitch.conf" ;;
esac

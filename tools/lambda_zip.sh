#!/usr/bin/env bash
# build/lambda-ARCH.zip: what AWS Lambda's runtimes provided.al2023 and provided.al2 run: the program, every library
# that it needs (the loader and the C library too, so that theirs do not matter), certificates, and a
# bootstrap that starts it.   tools/lambda_zip.sh [arm64|x86_64] [PROGRAM [ZIP]]
# For another architecture than this machine's the program and its libraries come from tools/cross.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=${1:-arm64}
case $arch in
  arm64) deb=arm64 cpu=aarch64 machine=AArch64 ;;
  x86_64) deb=amd64 cpu=x86_64 machine=X86-64 ;;
  *) echo "lambda-zip: arm64 or x86_64, not '$arch'" >&2; exit 2 ;;
esac
triplet=$cpu-linux-gnu readelf=readelf strip=strip program=${2:-}
LIBDIRS=${LIBDIRS:-/lib/$triplet:/usr/lib/$triplet:/lib64:/usr/lib64}
if [ -z "$program" ] && [ "$(uname -m)" = "$cpu" ]; then
  make -s build/inlet
  program=build/inlet
elif [ -z "$program" ]; then
  tools/cross.sh "$deb" build
  program=build-$deb/inlet LIBDIRS=$PWD/build-$deb-root/usr/lib/$triplet:$PWD/build-$deb-root/lib
  readelf=$triplet-readelf strip=$triplet-strip
fi
zip=${3:-build/lambda-$arch.zip}; mkdir -p "$(dirname "$zip")"
"$readelf" -h "$program" | grep -q "Machine:.*$machine" || { echo "lambda-zip: $program is not for $arch" >&2; exit 1; }
IFS=: read -ra dirs <<<"$LIBDIRS"
stage=$(mktemp -d); trap 'rm -rf "$stage"' EXIT
mkdir "$stage/lib"

find_library() {
  local d
  for d in "${dirs[@]}"; do [ -e "$d/$1" ] && { echo "$d/$1"; return; }; done
  echo "lambda-zip: $1 is not in ${dirs[*]}" >&2; exit 1
}
needed() { "$readelf" -d "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p'; }
take() { # all that $1 needs, and what that needs
  local name path
  for name in $(needed "$1"); do
    [ -e "$stage/lib/$name" ] && continue
    path=$(find_library "$name")
    cp -L "$path" "$stage/lib/$name"
    take "$path"
  done
}
take "$program"
cp -L "$(find_library libgcc_s.so.1)" "$stage/lib/" # loaded by name, when a thread is cancelled
loader=$("$readelf" -l "$program" | sed -nE 's/.*interpreter: .*\/(.*)\]/\1/p')
[ -e "$stage/lib/$loader" ] || cp -L "$(find_library "$loader")" "$stage/lib/$loader"
chmod 755 "$stage/lib/$loader"
"$strip" -o "$stage/inlet" "$program"
cp /etc/ssl/certs/ca-certificates.crt "$stage/lib/"
cat >"$stage/bootstrap" <<END
#!/bin/sh
# Started by Lambda. The system's certificates, or the ones that came with us.
here=\${LAMBDA_TASK_ROOT:-\$(dirname "\$0")}
for f in /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt "\$here/lib/ca-certificates.crt"; do
  [ -r "\$f" ] && { export AWS_CA_BUNDLE="\${AWS_CA_BUNDLE:-\$f}"; break; }
done
exec "\$here/lib/$loader" --library-path "\$here/lib" "\$here/inlet" lambda
END
chmod 755 "$stage/bootstrap" "$stage/inlet"
python3 - "$stage" "$zip" <<'END'
import os, sys, zipfile
stage, out = sys.argv[1:]
with zipfile.ZipFile(out + ".new", "w", zipfile.ZIP_DEFLATED) as z:  # the same bytes for the same files
    for path in sorted(os.path.join(d, f) for d, _, files in os.walk(stage) for f in files):
        info = zipfile.ZipInfo(os.path.relpath(path, stage), (2020, 1, 1, 0, 0, 0))
        info.external_attr, info.compress_type = (os.stat(path).st_mode & 0o7777 | 0o100000) << 16, zipfile.ZIP_DEFLATED
        z.writestr(info, open(path, "rb").read())
os.replace(out + ".new", out)
END
echo "lambda-zip: $zip, $(($(stat -c %s "$zip") / 1024)) KB, for ${triplet%%-*}, $(find "$stage/lib" -name '*.so*' | wc -l) libraries"

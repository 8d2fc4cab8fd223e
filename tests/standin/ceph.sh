#!/usr/bin/env bash
# A real S3 server for `make test-s3`: Ceph's radosgw from Debian's packages, with one monitor and one OSD in memory, all on
# 127.0.0.1, none of them through systemd. Usage: ceph.sh COMMAND... runs the command with S3_TEST_ENDPOINT and keys set,
# then ends the three by their pids. Needs ceph-mon, ceph-osd, ceph-common and radosgw, and to be root.
set -euo pipefail
for p in ceph-mon ceph-osd radosgw radosgw-admin ceph monmaptool ceph-authtool; do
  command -v "$p" >/dev/null || { echo "ceph.sh: $p is missing: apt-get install ceph-mon ceph-osd ceph-common radosgw" >&2; exit 1; }
done
dir=$(mktemp -d /tmp/inlet-ceph-XXXXXX) pids=()
end() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
  rm -rf "$dir"
}
trap end EXIT
ports=($(python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*(x.getsockname()[1] for x in s))'))
fsid=$(cat /proc/sys/kernel/random/uuid)
mkdir "$dir"/{mon,osd,log,run}
export CEPH_CONF=$dir/ceph.conf
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon host = [v1:127.0.0.1:${ports[0]}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = $dir/keyring
run dir = $dir/run
admin socket = $dir/run/\$name.asok
log file = $dir/log/\$name.log
pid file = $dir/run/\$name.pid
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
osd data = $dir/osd
osd class load list = *
osd class default list = *
mon data = $dir/mon
mon max pg per osd = 1000
mon osd full ratio = 1
mon data avail crit = 1
mon warn on pool no redundancy = false
rgw frontends = beast endpoint=127.0.0.1:${ports[1]} tcp_nodelay=1
rgw lifecycle work time = 00:00-00:01
CONF
say() { ceph --connect-timeout 30 "$@" >/dev/null 2>&1; }
quiet() { "$@" >>"$dir/log/setup" 2>&1 || { cat "$dir/log/setup" >&2; exit 1; }; }
quiet ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
quiet ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' --cap mds 'allow *'
quiet monmaptool --create --addv a "[v1:127.0.0.1:${ports[0]}]" --fsid "$fsid" "$dir/monmap"
quiet ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
ceph-mon -f -i a >>"$dir/log/mon" 2>&1 & pids+=($!)
say -s || { echo "ceph.sh: the monitor does not answer" >&2; tail -5 "$dir"/log/mon* >&2; exit 1; }
osd=$(cat /proc/sys/kernel/random/uuid)
quiet ceph osd new "$osd"
quiet ceph auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' mgr 'allow profile osd' -o "$dir/osd/keyring"
quiet ceph-osd -i 0 --mkfs --osd-uuid "$osd" --keyring "$dir/osd/keyring"
ceph-osd -f -i 0 --keyring "$dir/osd/keyring" >>"$dir/log/osd" 2>&1 & pids+=($!)
ceph auth get-or-create client.rgw mon 'allow rwx' osd 'allow rwx' -o "$dir/rgw.keyring" >/dev/null
radosgw -f -n client.rgw --keyring "$dir/rgw.keyring" >>"$dir/log/rgw" 2>&1 & pids+=($!)
for _ in $(seq 600); do
  (exec 3<>"/dev/tcp/127.0.0.1/${ports[1]}") 2>/dev/null && break
  sleep 0.2
done
(exec 3<>"/dev/tcp/127.0.0.1/${ports[1]}") || { echo "ceph.sh: radosgw did not start" >&2; tail -5 "$dir"/log/* >&2; exit 1; }
quiet radosgw-admin -n client.rgw --keyring "$dir/rgw.keyring" user create --uid=test --display-name=test --access-key=testkey --secret-key=testsecret
export S3_TEST_ENDPOINT=http://127.0.0.1:${ports[1]} AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=testkey AWS_SECRET_ACCESS_KEY=testsecret
set +e
"$@"

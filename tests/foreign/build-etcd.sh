#!/bin/sh
# Builds the reference etcd and its etcdctl from the Go modules pinned in go/go.mod.
#
#   build-etcd.sh OUTDIR     leaves OUTDIR/etcd and OUTDIR/etcdctl, and prints their version.
#
# A second run finds what the first one built and does nothing. Without a Go toolchain there is
# nothing to build with: the script says so and succeeds, and the tests that wanted a real etcd
# skip themselves in the same way.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: $0 OUTDIR" >&2
    exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

if ! command -v go >/dev/null 2>&1; then
    echo "skipped: no Go toolchain"
    exit 0
fi

cd "$here/go"
want=$(sed -n 's|^.*go.etcd.io/etcd/server/v3 v||p' go.mod)

# Each program appears under its final name only when it is whole, so that an interrupted run
# never leaves half a binary for the next one to trust.
build() {
    if [ -x "$out/$1" ] && "$out/$1" $3 2>/dev/null | head -n 1 | grep -qF "$want"; then
        return
    fi
    go build -mod=readonly -trimpath -ldflags '-s -w' -o "$out/$1.building" "$2"
    mv "$out/$1.building" "$out/$1"
}

build etcd ./etcd --version
build etcdctl go.etcd.io/etcd/etcdctl/v3 version

"$out/etcd" --version | head -n 1
"$out/etcdctl" version | head -n 1

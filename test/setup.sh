#!/usr/bin/env bash
# Installs what the tests, the demo and the benchmarks need, unless it is installed already.
#   setup.sh          node_modules, and the Debian packages of real engines and tools (as root)
#   setup.sh demo     node_modules, and only the packages that are needed to build them
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-test}

# command:package; the package is installed if the command exists
needs=(g++:g++ make:make python3:python3 zstd:zstd)
if [ "$purpose" = test ]; then
  needs+=(
    dockerd:docker.io docker:docker.io containerd:containerd runc:runc podman:podman skopeo:skopeo umoci:umoci
    igzip:isal pigz:pigz bsdtar:libarchive-tools mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs
    getfattr:attr getfacl:acl setcap:libcap2-bin strace:strace git:git tar:tar unshare:util-linux
    ip:iproute2 iptables:iptables hostname:hostname rsync:rsync zsh:zsh fish:fish
  )
fi

PATH=$PATH:/usr/sbin:/sbin
missing=()
for need in "${needs[@]}"; do
  command -v "${need%%:*}" >/dev/null || missing+=("${need#*:}")
done
# If the module is already compiled, no compiler is needed.
native=node_modules/better-sqlite3/build/Release/better_sqlite3.node
if [ -f "$native" ]; then
  mapfile -t missing < <(printf '%s\n' ${missing[@]+"${missing[@]}"} | grep -vxE 'g\+\+|make|python3' || true)
fi
mapfile -t missing < <(printf '%s\n' ${missing[@]+"${missing[@]}"} | sed '/^$/d' | sort -u)

if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing Debian packages: ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    install=(apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}")
    { apt-get update -qq && "${install[@]}"; } >/dev/null </dev/null
  else
    echo "setup: not root, so these Debian packages stay missing: ${missing[*]} (tests that need them are skipped)" >&2
  fi
fi

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  # If Node's package includes its headers, node-gyp need not download them.
  prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
  if [ -z "${npm_config_nodedir:-}" ] && [ -f "$prefix/include/node/node.h" ]; then export npm_config_nodedir=$prefix; fi
  echo "setup: npm ci (without a prebuilt file, better-sqlite3 is compiled: about 3 minutes)" >&2
  npm ci --no-audit --no-fund </dev/null >&2
  touch node_modules/.package-lock.json
fi

probe='import("better-sqlite3").then(({ default: D }) => new D(":memory:").close()).then(() => import("koffi"))'
if ! node -e "$probe" 2>/dev/null; then
  echo "setup: a native module does not load; rebuilding it" >&2
  npm rebuild better-sqlite3 koffi </dev/null >&2
  node -e "$probe"
fi

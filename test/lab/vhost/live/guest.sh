# What runs in the machine, as its first process: kernel vhost-net and the vDPA simulator under our targets, plain and
# under strace, and what `stopcopy test` says of both.
# usage: guest.sh SHARE; leaves its results in SHARE/out and switches the machine off
LAB=$1
OUT=$LAB/out
DIST=/opt/stopcopy/dist
STOPCOPY="node $DIST/cli/main.js"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8

say() { echo "lab: $*" >/dev/console; }
fact() { echo "$1=$2" >>"$OUT/facts"; }
off() {
  dmesg >"$OUT/dmesg.txt"
  touch "$OUT/complete"
  say "done"
  sync
  echo o >/proc/sysrq-trigger
  sleep 60
}

# Runs a program of the lab, plain and recorded by strace; says how it ended.
live() {
  name=$1
  shift
  timeout 120 node "$LAB/$name.mjs" "$DIST" "$OUT" "$@" >"$OUT/$name.err" 2>&1
  status=$?
  fact "$name" "$status"
  say "$name has ended with status $status $(tail -n 1 "$OUT/$name.err")"
  mkdir -p "$OUT/strace"
  timeout 240 strace -f -tt --seccomp-bpf -e trace=ioctl,openat,write,close -e write=none \
    -o "$OUT/strace/$name.strace" node "$LAB/$name.mjs" "$DIST" "$OUT/strace" "$@" >"$OUT/strace/$name.err" 2>&1
  status=$?
  fact "${name}_strace" "$status"
  say "$name under strace has ended with status $status $(tail -n 1 "$OUT/strace/$name.err")"
}

# Runs our test cases on a target.
cases() {
  name=$1
  timeout 240 $STOPCOPY test --target "$2" --json -o "$OUT/test-$name.json" --record "$OUT/test-$name.ndjson" \
    2>"$OUT/test-$name.err"
  status=$?
  fact "test_$name" "$status"
  say "stopcopy test --target $2 has ended with status $status $(tail -n 1 "$OUT/test-$name.err")"
}

ln -sfn /proc/self/fd /dev/fd
mount -t tmpfs tmpfs /tmp
fact kernel "$(uname -r)"
fact node "$(node --version)"
say "Linux $(uname -r), node $(node --version)"

if modprobe -a tun vhost_net && [ -e /dev/vhost-net ]; then
  live vhost-net
  cases vhost-net vhost:/dev/vhost-net
else
  fact no_vhost_net "the modules tun and vhost_net cannot be loaded"
fi

MADE=
if modprobe -a vhost_vdpa vhost_iotlb && for module in vringh vdpa_sim vdpa_sim_net; do
  insmod /opt/vdpa/$module.ko 2>>"$OUT/insmod.err" || { [ $module = vringh ] && modprobe vringh; } || break
done && vdpa dev add name lab0 mgmtdev vdpasim_net mac 02:00:00:00:00:55 2>>"$OUT/insmod.err"; then
  if [ -e /sys/bus/vdpa/drivers/vhost_vdpa ]; then
    echo lab0 >/sys/bus/vdpa/devices/lab0/driver/unbind 2>/dev/null
    echo lab0 >/sys/bus/vdpa/drivers/vhost_vdpa/bind 2>/dev/null
  fi
  MADE=$(ls /dev/vhost-vdpa-* 2>/dev/null | head -n 1)
fi
if [ -n "$MADE" ]; then
  fact vdpa_file "$MADE"
  live vdpa "$MADE"
  cases vdpa "vhost-vdpa:$MADE"
else
  fact no_vdpa "the simulator cannot be had: $(tail -n 1 "$OUT/insmod.err")"
fi
off

# What runs in the guest, as its first process: mtty is loaded, makes a device, and the suite runs on it,
# by the tool and by the C program, while what both ask of the kernel is recorded.
# usage: guest.sh SHARE; leaves its results in SHARE/out and switches the machine off
LAB=$1
OUT=$LAB/out
UUID=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001
STOPCOPY="node /opt/stopcopy/dist/cli/main.js"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8

say() { echo "lab: $*" >/dev/console; }
off() {
  sync
  echo o >/proc/sysrq-trigger
  sleep 60
}
fail() {
  say "failed: $*"
  dmesg >"$OUT/dmesg.txt"
  off
}
fact() { echo "$1=$2" >>"$OUT/facts"; }

ln -sfn /proc/self/fd /dev/fd
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing || fail "no tracefs"

fact kernel "$(uname -r)"
fact node "$(node --version)"
fact bpftrace "$(bpftrace --version)"
fact iommufd "$(grep -c '^CONFIG_IOMMUFD=[ym]' "/boot/config-$(uname -r)")"
say "Linux $(uname -r), node $(node --version)"

# Makes the device anew: what it kept is gone.
make_device() {
  echo "$UUID" >/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create || fail "mtty makes no device"
}

modprobe -a mdev vfio vfio_iommu_type1 || fail "no VFIO modules"
insmod /opt/mtty/mtty.ko || fail "mtty cannot be loaded"
make_device
GROUP=/dev/vfio/$(basename "$(readlink "/sys/bus/mdev/devices/$UUID/iommu_group")")
[ -e "$GROUP" ] || fail "the device has no group"
fact group "$GROUP"

$STOPCOPY record --print >/tmp/record.bt || fail "stopcopy record"
# The C program is fast: its events need room until they are written.
BPFTRACE_PERF_RB_PAGES=4096 bpftrace -q -B line /tmp/record.bt >"$OUT/uapi.ndjson" 2>"$OUT/bpftrace.err" &
RECORDER=$!
i=0
while [ ! -s "$OUT/uapi.ndjson" ]; do
  i=$((i + 1))
  [ $i -le 120 ] && kill -0 $RECORDER || fail "bpftrace: $(tail -n 3 "$OUT/bpftrace.err")"
  sleep 1
done
say "bpftrace records"

$STOPCOPY test --target "vfio:$UUID" --suite "$LAB/suite.json" --max-failures 100 --timeout 60000 \
  --record "$OUT/run.ndjson" --json -o "$OUT/test.json" 2>"$OUT/test.err"
STATUS=$?
say "stopcopy test has ended with status $STATUS $(tail -n 1 "$OUT/test.err")"

"$LAB/suite" --timeout 60 "$GROUP" "$UUID" >"$OUT/c.tap" 2>"$OUT/c.err"
say "the C program has ended: $(tail -n 1 "$OUT/c.tap")"

# What is still on its way is written before the recorder ends.
size=-1
while [ "$size" != "$(stat -c %s "$OUT/uapi.ndjson")" ]; do
  size=$(stat -c %s "$OUT/uapi.ndjson")
  sleep 2
done
kill -INT $RECORDER
wait $RECORDER

# The same driver with IOMMUFD: the device has a file of its own, and its DMA log can be read.
echo 1 >"/sys/bus/mdev/devices/$UUID/remove"
rmmod mtty vfio_iommu_type1 vfio || fail "the modules cannot be removed"
for module in iommufd vfio mtty; do
  insmod /opt/iommufd/$module.ko || fail "$module with IOMMUFD cannot be loaded"
done
make_device
CDEV=/dev/vfio/devices/$(ls "/sys/bus/mdev/devices/$UUID/vfio-dev")
[ -e "$CDEV" ] && [ -e /dev/iommu ] || fail "no $CDEV, or no /dev/iommu"
fact file "$CDEV"
$STOPCOPY test --target "vfio:$CDEV" --suite "$LAB/short.json" --max-failures 100 --timeout 60000 --no-shrink \
  --json -o "$OUT/file-test.json" 2>"$OUT/file-test.err"
STATUS=$?
say "stopcopy test on $CDEV has ended with status $STATUS $(tail -n 1 "$OUT/file-test.err")"
"$LAB/suite" --timeout 60 "$CDEV" >"$OUT/file-c.tap" 2>"$OUT/file-c.err"
say "the C program on $CDEV has ended: $(tail -n 1 "$OUT/file-c.tap")"

dmesg >"$OUT/dmesg.txt"
touch "$OUT/complete"
say "done"
off

"""A device for `stopcopy test --target 'exec:python3 docs/examples/exec-device.py'`.

Two registers of 32 bits, STOP_COPY migration, nothing but the standard library. What belongs to the device
is marked; the rest is the uAPI, and can stay as it is when you put a model of your own in its place.
"""

import base64
import json
import struct
import sys
import zlib

HEAD = struct.Struct("<4sHHI")  # magic, version, length of the state, checksum of the state
MAGIC, VERSION = b"PAIR", 1
RESET_STATE = bytes(8)


class Refused(Exception):
    """The answer of a call that fails: the name of an errno, and words for people."""


class Device:
    """The device and its data_fd, as user space sees them."""

    def __init__(self):
        self.state = "RUNNING"
        self.registers = bytearray(RESET_STATE)
        self.session = None  # the number of the data_fd that lives, or None
        self.fds = {}  # data_fd to "save" or "load": open, whether its session lives or not
        self.next_fd = 0
        self.stream = b""  # saving: what is still to be read; loading: what was written

    # What belongs to the device.

    def save(self):
        state = bytes(self.registers)
        return HEAD.pack(MAGIC, VERSION, len(state), zlib.crc32(state)) + state

    def check(self, stream, whole):
        """Refuses a stream that is not ours as soon as that shows; `whole` when nothing more will come."""
        if len(stream) < HEAD.size:
            if whole or not MAGIC.startswith(stream[:4]):
                raise Refused("EINVAL", "the stream has no head of ours")
            return
        magic, version, length, checksum = HEAD.unpack_from(stream)
        if (magic, version, length) != (MAGIC, VERSION, len(self.registers)):
            raise Refused("EINVAL", "the stream is not of this device or of another version")
        if len(stream) > HEAD.size + length or (whole and len(stream) < HEAD.size + length):
            raise Refused("EINVAL", "the stream has the wrong length")
        if len(stream) == HEAD.size + length and zlib.crc32(stream[HEAD.size :]) != checksum:
            raise Refused("EINVAL", "the stream has a wrong checksum")

    # What any device does. This one has no P2P and no PRE_COPY, so that all ways lead over STOP.

    def set_state(self, state):
        if state not in ("STOP", "RUNNING", "STOP_COPY", "RESUMING"):
            raise Refused("EINVAL", f"there is no way to {state}")
        if state == self.state:
            return {"data_fd": None}
        if self.state != "STOP":
            self.to_stop()
        fd = None
        if state in ("STOP_COPY", "RESUMING"):
            fd = self.begin("save" if state == "STOP_COPY" else "load")
        self.state = state
        return {"data_fd": fd}

    def to_stop(self):
        """The arc to STOP. When it fails the device stays where it is."""
        if self.state == "RESUMING":
            self.check(self.stream, whole=True)
            self.registers[:] = self.stream[HEAD.size :]
        self.session = None
        self.state = "STOP"

    def begin(self, kind):
        self.session, self.next_fd = self.next_fd, self.next_fd + 1
        self.fds[self.session] = kind
        self.stream = self.save() if kind == "save" else b""
        return self.session

    def get_state(self):
        return {"state": self.state}

    def reset(self):
        self.registers[:] = RESET_STATE
        self.session = None
        self.state = "RUNNING"
        return {}

    def data_size(self):
        return {"bytes": len(self.save())}

    def live(self, fd, kind):
        if self.fds.get(fd) != kind:
            raise Refused("EBADF", f"data_fd {fd} is not open for this")
        if fd != self.session:
            raise Refused("ENODEV", f"the session of data_fd {fd} has ended")

    def read(self, fd, size):
        self.live(fd, "save")
        data, self.stream = self.stream[:size], self.stream[size:]
        return {"data": base64.b64encode(data).decode()}

    def write(self, fd, data):
        self.live(fd, "load")
        stream = self.stream + base64.b64decode(data)
        self.check(stream, whole=False)
        self.stream = stream
        return {"count": len(base64.b64decode(data))}

    def close(self, fd):
        if self.fds.pop(fd, None) is None:
            raise Refused("EBADF", f"data_fd {fd} is not open")
        return {}

    def place(self, region, offset, size):
        if region != 0 or offset + size > len(self.registers):
            raise Refused("EINVAL", f"no {size} bytes at {offset} of region {region}")
        return slice(offset, offset + size)

    def read_region(self, region, offset, size):
        data = self.registers[self.place(region, offset, size)]
        return {"data": base64.b64encode(data).decode()}

    def write_region(self, region, offset, data):
        data = base64.b64decode(data)
        place = self.place(region, offset, len(data))
        if self.state == "RUNNING":
            self.registers[place] = data
        return {}

    def hello(self, version):
        return {"version": version, "name": "pair0", "flags": 1, "calls": ["reset", "reopen", "data_size", "read_region"]}


device = Device()
for line in sys.stdin:  # An open of the device is the life of this program.
    request = json.loads(line)
    answer = {"id": request.pop("id")}
    call = request.pop("call")
    try:
        answer["ok"] = getattr(device, call)(**request)
    except Refused as refused:
        answer["error"], answer["message"] = refused.args
    print(json.dumps(answer), flush=True)

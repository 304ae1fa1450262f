"""Small readers and writers of model files for tests/golden/hf.py: GGUF, safetensors, and the
number formats that those hold. Only what Python brings is used."""
import array
import json
import math
import os
import shutil
import struct

SCALARS = {0: 'B', 1: 'b', 2: 'H', 3: 'h', 4: 'I', 5: 'i', 6: 'f', 7: '?', 10: 'Q', 11: 'q', 12: 'd'}
F32, F16, I32, BF16, MXFP4 = 0, 1, 26, 30, 39
SIZE = {F32: (1, 4), F16: (1, 2), I32: (1, 4), BF16: (1, 2), 8: (32, 34), 2: (32, 18), MXFP4: (32, 17)}


class Gguf:
    """keys: name to value; tensors: name to (type, ne, bytes)."""

    def __init__(self, path):
        self.b = open(path, 'rb').read()
        self.at = 8
        n_tensor, n_key = self.take('Q'), self.take('Q')
        self.keys = {}
        for _ in range(n_key):
            name = self.text()
            self.keys[name] = self.value(self.take('I'))
        heads = []
        for _ in range(n_tensor):
            name = self.text()
            ne = [self.take('Q') for _ in range(self.take('I'))]
            heads.append((name, ne, self.take('I'), self.take('Q')))
        data = -(-self.at // 32) * 32
        self.tensors = {}
        for name, ne, kind, offset in heads:
            block, size = SIZE[kind]
            n = math.prod(ne) // block * size
            self.tensors[name] = (kind, ne, self.b[data + offset:data + offset + n])

    def take(self, f):
        v = struct.unpack_from('<' + f, self.b, self.at)[0]
        self.at += struct.calcsize('<' + f)
        return v

    def text(self):
        n = self.take('Q')
        self.at += n
        return self.b[self.at - n:self.at].decode('utf-8', 'replace')

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            kind, n = self.take('I'), self.take('Q')
            return [self.value(kind) for _ in range(n)]
        return self.take(SCALARS[kind])


def floats(b):
    a = array.array('f')
    a.frombytes(b)
    return a


def half_floats(b):
    return array.array('f', struct.unpack('<%de' % (len(b) // 2), b))


def to_bf16(a):
    """Rounds to nearest even."""
    u = array.array('I')
    u.frombytes(a.tobytes())
    return array.array('H', ((x + 0x7fff + (x >> 16 & 1)) >> 16 for x in u)).tobytes()


def of_bf16(b):
    h = array.array('H')
    h.frombytes(b)
    return floats(array.array('I', (x << 16 for x in h)).tobytes())


def numbers(kind, b):
    return {F32: floats, F16: half_floats, BF16: of_bf16}[kind](b)


class T:
    """A tensor as PyTorch has it: shape with the contiguous dimension last, and numbers."""

    def __init__(self, shape, a, dtype=None):
        self.shape, self.a, self.dtype = list(shape), a, dtype

    @property
    def width(self):
        return self.shape[-1] if len(self.shape) > 1 else 1

    def rows(self):
        w = self.width
        return [self.a[i:i + w] for i in range(0, len(self.a), w)]

    @staticmethod
    def of_rows(shape, rows):
        a = array.array('f')
        for r in rows:
            a.extend(r)
        return T(shape, a)

    def reshape(self, *shape):
        assert math.prod(shape) == len(self.a), (shape, len(self.a))
        return T(shape, self.a, self.dtype)

    def map(self, f):
        return T(self.shape, array.array('f', map(f, self.a)))

    def pick(self, order):
        """Rows in another order."""
        r = self.rows()
        return T.of_rows([len(order)] + self.shape[1:] if len(self.shape) > 1 else [len(order)],
                         [r[i] for i in order])

    def pick_columns(self, order):
        return T.of_rows([len(self.rows()), len(order)],
                         [array.array('f', (r[i] for i in order)) for r in self.rows()])

    def part(self, i):
        """Number i along the first dimension."""
        n = len(self.a) // self.shape[0]
        return T(self.shape[1:], self.a[i * n:(i + 1) * n], self.dtype)

    def transposed(self):
        """The last two dimensions change places."""
        r, c = self.shape[-2:]
        a = array.array('f')
        for m in range(len(self.a) // (r * c)):
            for j in range(c):
                a.extend(self.a[m * r * c + j:(m + 1) * r * c:c])
        return T(self.shape[:-2] + [c, r], a)


def cat(*ts):
    return T.of_rows([sum(t.shape[0] for t in ts)] + ts[0].shape[1:], [t.a for t in ts])


def pile(ts):
    return T.of_rows([len(ts)] + ts[0].shape, [t.a for t in ts])


# -- FP8: the format's 256 numbers ----------------------------------------------------------

def e4m3(b):
    exp, man = b >> 3 & 15, b & 7
    v = math.ldexp(8 + man, exp - 10) if exp else math.ldexp(man, -9)
    return -v if b & 128 else v


E4M3 = sorted((e4m3(b), b) for b in range(256) if b & 127 != 127 and b != 128)


def to_e4m3(x):
    import bisect
    i = bisect.bisect_left(E4M3, (x, 0))
    near = E4M3[max(0, i - 1):i + 1]
    return min(near, key=lambda vb: abs(vb[0] - x))[1]


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


def fp8(t, whole):
    """A matrix as FP8 with a scale for each 128 x 128: powers of two if whole. Gives the bytes,
    the scales, and the numbers that they stand for."""
    rows, cols = t.shape
    br, bc = -(-rows // 128), -(-cols // 128)
    scales, q, back = array.array('f'), bytearray(len(t.a)), array.array('f', t.a)
    for i in range(br * bc):
        at = [r * cols + c for r in range(i // bc * 128, min(rows, (i // bc + 1) * 128))
              for c in range(i % bc * 128, min(cols, (i % bc + 1) * 128))]
        s = f32(max(abs(t.a[k]) for k in at) / 448) or 1.0
        if whole:
            s = math.ldexp(1, math.ceil(math.log2(s)))
        scales.append(s)
        for k in at:
            q[k] = to_e4m3(t.a[k] / s)
            back[k] = f32(e4m3(q[k]) * s)
    return bytes(q), T([br, bc], scales), T(t.shape, back)


# -- safetensors ----------------------------------------------------------------------------

def encode(t, dtype):
    if isinstance(t, tuple):  # dtype, shape, bytes: as they are
        return t
    if t.dtype:
        return t.dtype, t.shape, bytes(t.a)
    if dtype == 'BF16':
        return 'BF16', t.shape, to_bf16(t.a)
    return 'F32', t.shape, t.a.tobytes()


def write_safetensors(path, tensors, pad=0):
    """tensors: name to (dtype, shape, bytes). pad bytes move all data away from even places."""
    head, data = {'__metadata__': {'format': 'pt'}}, b''
    if pad:
        head['pad.weight_scale'] = {'dtype': 'U8', 'shape': [pad], 'data_offsets': [0, pad]}
        data = b'\0' * pad
    for name, (dtype, shape, b) in tensors.items():
        head[name] = {'dtype': dtype, 'shape': list(shape), 'data_offsets': [len(data), len(data) + len(b)]}
        data += b
    text = json.dumps(head).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text + data)


def write_folder(path, config, tensors, dtype='F32', shards=1, extra=None):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    tensors = {name: encode(t, dtype) for name, t in tensors.items()}
    for name, value in dict({'config.json': config}, **(extra or {})).items():
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        if name.endswith('.safetensors'):
            write_safetensors(os.path.join(path, name), {n: encode(t, dtype) for n, t in value.items()})
            continue
        with open(os.path.join(path, name), 'w') as f:
            json.dump(value, f)
    if shards == 1:
        write_safetensors(os.path.join(path, 'model.safetensors'), tensors)
        return
    where = {}
    for i in range(shards):
        name = 'model-%05d-of-%05d.safetensors' % (i + 1, shards)
        part = dict(list(tensors.items())[i::shards])
        write_safetensors(os.path.join(path, name), part)
        where.update({n: name for n in part})
    with open(os.path.join(path, 'model.safetensors.index.json'), 'w') as f:
        json.dump({'metadata': {}, 'weight_map': where}, f)

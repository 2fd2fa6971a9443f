// Reads and writes portable messages of canning. docs/javascript.md shows how to use it, docs/wire-format.md
// specifies the format.
//
// A message is a list of frames. Frame 0 ends with a trailer, which describes the frames; the others are
// memory, and the arrays that you get are views of it. No code of a message is run: values come from its JSON
// header, not from its pickle.

/** A refused message: it is damaged, contradicts itself, or has a wrong signature. */
export class CanningError extends Error {
  get name() { return this.constructor.name; }
}

/** A message that may be valid but cannot be read here: unknown codec or version, or not portable. */
export class UnsupportedError extends CanningError {}

// -- bytes ------------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder();
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const equal = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

function textOf(bytes) {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new CanningError("text that is none");
  }
}

const latin = text => Uint8Array.from(text, letter => letter.charCodeAt(0));

function bytesOf(source) {
  if (source?.constructor === Uint8Array) return source; // a Buffer of Node has a slice() that does not copy
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof ArrayBuffer || (typeof SharedArrayBuffer === "function" && source instanceof SharedArrayBuffer)) {
    return new Uint8Array(source);
  }
  throw new TypeError("a frame is an ArrayBuffer or a view of one");
}

const viewOf = bytes => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function uint64(view, at) {
  const value = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  if (value > Number.MAX_SAFE_INTEGER) throw new CanningError("a length of more bytes than there can be");
  return value;
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

let crcTables = null;

// Four bytes a step: "slicing" by M. Kounavis and F. Berry, "A Systematic Approach to Building High Performance
// Software-Based CRC Generators", 2005.
function crc32(...parts) {
  if (!crcTables) {
    crcTables = [0, 1, 2, 3].map(() => new Uint32Array(256));
    const [first, ...others] = crcTables;
    for (let byte = 0; byte < 256; byte++) {
      let sum = byte;
      for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
      first[byte] = sum;
    }
    for (let byte = 0; byte < 256; byte++) {
      let sum = first[byte];
      for (const table of others) table[byte] = sum = first[sum & 255] ^ (sum >>> 8);
    }
  }
  const [t0, t1, t2, t3] = crcTables;
  let sum = -1;
  for (const bytes of parts) {
    const whole = bytes.length - (bytes.length % 4);
    for (let at = 0; at < whole; at += 4) {
      sum ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
      sum = t3[sum & 255] ^ t2[(sum >>> 8) & 255] ^ t1[(sum >>> 16) & 255] ^ t0[sum >>> 24];
    }
    for (let at = whole; at < bytes.length; at++) sum = t0[(sum ^ bytes[at]) & 255] ^ (sum >>> 8);
  }
  return ~sum >>> 0;
}

// -- the container ----------------------------------------------------------------------------------------------------

const VERSION = 3;
const FOOTER = 44;
const MAGIC = latin("\x93CANNED\n");
const BLOB = latin("\x93CANNEDF");
const FLAGS = ["PLAIN", "CALL", "BIG_ENDIAN", "LONE", "SIGNED", "CODE", "NARROW", "LIVE", "PORTABLE"];
const OPTIONAL = 0x8000;
const CODECS = 3;
const MODULES = 8;
const SIGNATURE = 0x8001;
const PORTABLE = 0x8005;

/** Tell whether bytes are a blob, which `dump` and `dumps` write: all frames of a message in one. */
export const isBlob = source => equal(bytesOf(source).subarray(0, 8), BLOB);

/** Cut a blob into its frames, which are views of its memory. */
export function framesOf(source) {
  const blob = bytesOf(source);
  if (!isBlob(blob) || blob.length < 16) throw new CanningError("these bytes are no blob of canning's");
  const view = viewOf(blob);
  const count = uint64(view, 8);
  let at = 16 + 8 * count;
  if (count < 1 || at > blob.length) throw new CanningError("the blob is cut");
  return Array.from({ length: count }, (_, number) => {
    const length = uint64(view, 16 + 8 * number);
    at += -at & 63;
    if (at + length > blob.length) throw new CanningError(`the blob is cut in frame ${number}`);
    at += length;
    return blob.subarray(at - length, at);
  });
}

/** Read and check the trailer of frame 0 and its statements about the other frames. Nothing is decoded. */
export function parse(frames) {
  const all = Array.from(frames, bytesOf);
  if (!all.length) throw new CanningError("a message has at least one frame");
  const head = all[0];
  const at = head.length - FOOTER;
  if (at < 0 || !equal(head.subarray(-8), MAGIC)) {
    throw new UnsupportedError("frame 0 has no trailer: it is a plain pickle, or none of canning's");
  }
  const view = viewOf(head);
  const version = head[at + 28];
  if (version !== VERSION) throw new UnsupportedError(`version ${version} of the format; this reads version ${VERSION}`);
  const pickleLength = uint64(view, at);
  const [count, entries, outside, more] = [8, 12, 16, 20].map(offset => view.getUint32(at + offset, true));
  const inlineEnd = endOfInline(head);
  if (count < 1 || pickleLength < 1 || pickleLength > inlineEnd || outside > (entries || count - 1)) {
    throw new CanningError("frame 0 contradicts itself: its parts do not fit into it");
  }
  if (checksum(head, inlineEnd) !== view.getUint32(at + 32, true)) {
    throw new CanningError("frame 0 is damaged: its checksum does not match");
  }
  const bits = view.getUint16(at + 29, true);
  if (bits >> FLAGS.length || head[at + 31]) throw new CanningError("frame 0 has flags that are not known here");
  const lengths = Array.from({ length: count - 1 }, (_, number) => uint64(view, inlineEnd + 8 * number));
  checkFrames(all, lengths);
  const extensions = parseExtensions(head.subarray(at - more, at));
  const flags = new Set(FLAGS.filter((_, bit) => bits & (1 << bit)));
  checkFlags(flags, extensions);
  const codecs = parseCodecs(extensions.get(CODECS), lengths.length);
  const decoded = lengths.map((length, number) => codecs.get(number + 1)?.length ?? length);
  const table = parseTable(view, at - more - 24 * entries, entries, decoded, inlineEnd - pickleLength);
  return {
    version,
    flags,
    writer: { python: [head[at + 24], head[at + 25]], numpy: [head[at + 26], head[at + 27]] },
    frames: all.slice(0, count),
    rest: all.slice(count),
    pickle: head.subarray(0, pickleLength),
    inline: head.subarray(pickleLength, inlineEnd),
    lengths,
    table,
    outside,
    extensions,
    codecs,
  };
}

// The end of the inline data in frame 0.
function endOfInline(head) {
  const view = viewOf(head);
  const at = head.length - FOOTER;
  const [frames, entries, , more] = [8, 12, 16, 20].map(offset => view.getUint32(at + offset, true));
  return at - more - 24 * entries - 8 * (frames - 1);
}

function sealed(head) {
  viewOf(head).setUint32(head.length - 12, checksum(head, endOfInline(head)), true);
  return head;
}

const FOLD = 32768;
const ROW = 8192;

// For a long body the checksum covers its sums by columns and by rows instead of its bytes.
function checksum(head, inlineEnd) {
  if (inlineEnd < FOLD) return crc32(head.subarray(0, -12));
  const rows = Math.floor(inlineEnd / ROW);
  const columns = new Uint32Array(ROW / 4);
  const sums = Uint32Array.from({ length: rows }, (_, row) => {
    const at = head.byteOffset + row * ROW;
    const numbers = new Uint32Array(at % 4 ? head.slice(row * ROW, (row + 1) * ROW).buffer : head.buffer, at % 4 ? 0 : at, ROW / 4);
    let sum = 0;
    for (let column = 0; column < numbers.length; column++) {
      columns[column] += numbers[column];
      sum = (sum + numbers[column]) | 0;
    }
    return sum;
  });
  return crc32(bytesOf(columns), bytesOf(sums), head.subarray(rows * ROW, -12));
}

function checkFrames(all, lengths) {
  if (all.length <= lengths.length) {
    throw new CanningError(`the message is cut: it has ${lengths.length + 1} frames, of which ${all.length} are here`);
  }
  lengths.forEach((length, number) => {
    const here = all[number + 1].length;
    if (here !== length) throw new CanningError(`frame ${number + 1} has ${here} bytes, and ${length} were sent`);
  });
}

function checkFlags(flags, extensions) {
  const signature = [...extensions.keys()].indexOf(SIGNATURE);
  const fits = signature === extensions.size - 1 && extensions.get(SIGNATURE)?.length === 32;
  if (flags.has("SIGNED") ? !fits : signature >= 0) throw new CanningError("a signature that is not where it should be");
  if (flags.has("PORTABLE") && !extensions.has(PORTABLE)) throw new CanningError("a portable message without its header");
}

function parseExtensions(block) {
  const view = viewOf(block);
  const found = new Map();
  for (let at = 0; at < block.length;) {
    if (at + 8 > block.length) throw new CanningError("frame 0 contradicts itself: its extensions do not fit into it");
    const tag = view.getUint16(at, true);
    const end = at + 8 + view.getUint32(at + 4, true);
    if (end > block.length || found.has(tag) || view.getUint16(at + 2, true)) {
      throw new CanningError("frame 0 contradicts itself: its extensions do not fit into it");
    }
    if (![CODECS, MODULES].includes(tag) && !(tag & OPTIONAL)) {
      throw new UnsupportedError(`frame 0 has extension ${tag}, which is not known here`);
    }
    found.set(tag, block.subarray(at + 8, end));
    at = end;
  }
  return found;
}

function parseCodecs(content, frames) {
  const found = new Map();
  if (!content) return found;
  const view = viewOf(content);
  let last = 0;
  for (let at = 0; at < content.length;) {
    const fits = at + 13 <= content.length;
    const frame = fits ? view.getUint32(at, true) : 0;
    const end = fits ? at + 13 + content[at + 12] : at;
    const codec = String.fromCharCode(...content.subarray(at + 13, end));
    if (frame <= last || frame > frames || end > content.length || !/^[a-z0-9][a-z0-9._+-]{0,31}$/.test(codec)) {
      throw new CanningError("frame 0 contradicts itself: what it says of codecs does not fit");
    }
    found.set(frame, { codec, length: uint64(view, at + 4) });
    last = frame;
    at = end;
  }
  return found;
}

function parseTable(view, start, entries, lengths, inline) {
  if (!entries) return null;
  const joined = new Set();
  return Array.from({ length: entries }, (_, number) => {
    const at = start + 24 * number;
    const [first, count] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    const [offset, length] = [uint64(view, at + 8), uint64(view, at + 16)];
    const parts = lengths.slice(first - 1, first - 1 + count);
    let fits;
    if (count === 1) {
      fits = first <= lengths.length && offset + length <= (first ? lengths[first - 1] : inline);
    } else {
      fits = first > 0 && count > 1 && parts.length === count && offset === 0;
      fits &&= parts.reduce((sum, part) => sum + part) === length;
      for (let frame = first; fits && frame < first + count; frame++) {
        fits = !joined.has(frame);
        joined.add(frame);
      }
    }
    if (!fits) throw new CanningError(`frame 0 contradicts itself: buffer ${number} lies outside its frames`);
    return { first, count, offset, length };
  });
}

/** Return the memory of each buffer of a parsed message; only buffers in several frames are copied. */
export function buffersOf(message) {
  if (message.codecs.size) throw new UnsupportedError("frames that went through a codec: decode the message first");
  const { frames, inline, table } = message;
  if (!table) return frames.slice(1);
  return table.map(({ first, count, offset, length }) => {
    if (count === 1) return (first ? frames[first] : inline).subarray(offset, offset + length);
    return joined(frames.slice(first, first + count));
  });
}

// -- codecs -----------------------------------------------------------------------------------------------------------

const RAW = 2 ** 31;

/** Decode a parsed message. `codecs` adds functions `(block, length) => bytes`, by name, such as `zstd`. */
export async function decode(message, codecs = {}) {
  const frames = [...message.frames];
  const known = { lz4, zstd, ...codecs };
  for (const { codec } of message.codecs.values()) {
    if (!Object.hasOwn(known, codec)) throw new UnsupportedError(`the codec ${codec} is not known here`);
  }
  for (const [frame, { codec, length }] of message.codecs) {
    frames[frame] = await decodeFrame(frames[frame], length, known[codec]);
  }
  return { ...message, frames, codecs: new Map() };
}

async function decodeFrame(frame, length, decompress) {
  const broken = () => new CanningError("a compressed frame that contradicts itself");
  const [width, log2] = frame;
  if (!(width >= 1 && width <= 32 && log2 >= 12 && log2 <= 24)) throw broken();
  const count = Math.ceil(length / 2 ** log2);
  let at = 2 + 4 * count;
  if (frame.length < at) throw broken();
  const view = viewOf(frame);
  const blocks = Array.from({ length: count }, (_, number) => {
    const stated = view.getUint32(2 + 4 * number, true);
    const size = stated % RAW;
    at += size;
    return { data: frame.subarray(at - size, at), raw: stated >= RAW };
  });
  if (at !== frame.length) throw broken();
  const parts = []; // joined at the end: a stated length is not trusted before the data is here
  for (const [number, { data, raw }] of blocks.entries()) {
    const size = Math.min(2 ** log2, length - number * 2 ** log2);
    const block = raw ? data : await decompress(data, size);
    if (block.length !== size) throw new CanningError("a block is not as long as it was");
    parts.push(raw || width === 1 ? block : unshuffled(block, width));
  }
  return joined(parts);
}

function unshuffled(block, width) {
  const into = new Uint8Array(block.length);
  const items = Math.floor(block.length / width);
  for (let byte = 0; byte < width; byte++) {
    for (let item = 0; item < items; item++) into[item * width + byte] = block[byte * items + item];
  }
  into.set(block.subarray(items * width), items * width);
  return into;
}

// The LZ4 block format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
function lz4(block, length) {
  const broken = () => new CanningError("a block that is no LZ4");
  const out = new Uint8Array(length);
  let [from, to] = [0, 0];
  const more = start => {
    let [size, byte] = [start, 255];
    while (start === 15 && byte === 255) {
      if (from >= block.length) throw broken();
      byte = block[from++];
      size += byte;
    }
    return size;
  };
  while (from < block.length) {
    const token = block[from++];
    const literals = more(token >> 4);
    if (from + literals > block.length || to + literals > length) throw broken();
    out.set(block.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from === block.length) return out.subarray(0, to);
    const back = block[from] | (block[from + 1] << 8);
    from += 2;
    const matched = more(token & 15) + 4;
    if (from > block.length || back < 1 || back > to || to + matched > length) throw broken();
    for (const end = to + matched; to < end; to++) out[to] = out[to - back];
  }
  throw broken();
}

// Node has zstd from 22.15 on, and no browser had it in 2026.
function zstd(block, length) {
  const native = globalThis.process?.getBuiltinModule?.("node:zlib")?.zstdDecompressSync;
  if (!native) throw new UnsupportedError("zstd is not known to this platform: pass codecs: {zstd: (block, length) => bytes}");
  try {
    return native(block, { maxOutputLength: length });
  } catch {
    throw new CanningError("a block that is no zstd");
  }
}

// -- the signature ----------------------------------------------------------------------------------------------------

const SIGNED_FLAG = 16;
const SIGNED_MARK = Uint8Array.of(1, 0x80, 0, 0, 32, 0, 0, 0);

/** Check the HMAC-SHA256 signature of a message before reading anything else; of a chain with `all`. */
export async function verify(frames, key, { all = false } = {}) {
  const given = Array.from(frames, bytesOf);
  const head = given[0] ?? new Uint8Array(0);
  const footer = head.length - FOOTER;
  const code = footer - 32;
  const marked = code >= 8 && equal(head.subarray(-8), MAGIC) && head[footer + 29] & SIGNED_FLAG;
  if (!marked || !equal(head.subarray(code - 8, code), SIGNED_MARK)) throw new CanningError("the message is not signed");
  const signed = all ? given : given.slice(0, viewOf(head).getUint32(footer + 8, true));
  const [secret, whole] = [await secretOf(key), await signedPart(signed)];
  if (!(await crypto.subtle.verify("HMAC", secret, head.subarray(code, footer), whole))) {
    throw new CanningError("the signature does not match");
  }
}

/** Sign the frames of a message or a chain, for readers with the same key; frame 0 is replaced. */
export async function sign(frames, key) {
  const [head, ...rest] = Array.from(frames, bytesOf);
  const footer = head.slice(head.length - FOOTER);
  const view = viewOf(footer);
  view.setUint32(20, view.getUint32(20, true) + 40, true);
  view.setUint16(29, view.getUint16(29, true) | SIGNED_FLAG, true);
  const signed = joined([head.subarray(0, head.length - FOOTER), SIGNED_MARK, new Uint8Array(32), footer]);
  const code = await crypto.subtle.sign("HMAC", await secretOf(key), await signedPart([signed, ...rest]));
  signed.set(new Uint8Array(code), signed.length - FOOTER - 32);
  return [sealed(signed), ...rest];
}

const secretOf = key =>
  crypto.subtle.importKey("raw", bytesOf(key), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);

// The signed part of a message: everything but the signature itself and the checksum.
function signedPart([head, ...rest]) {
  const footer = head.length - FOOTER;
  const lengths = [head, ...rest].map(frame => BigInt(frame.length));
  const front = [latin("canning signature 1\n"), littleEndian([BigInt(lengths.length), ...lengths])];
  const parts = [...front, head.subarray(0, footer - 32), head.subarray(footer, footer + 32), MAGIC, ...rest];
  return new Blob(parts).arrayBuffer();
}

function littleEndian(numbers) {
  const bytes = new Uint8Array(8 * numbers.length);
  numbers.forEach((number, at) => viewOf(bytes).setBigUint64(8 * at, number, true));
  return bytes;
}

// -- arrays -----------------------------------------------------------------------------------------------------------

const NATIVE = {
  b1: Uint8Array, i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array,
  i8: BigInt64Array, u8: BigUint64Array, f2: globalThis.Float16Array ?? Uint16Array, f4: Float32Array, f8: Float64Array,
  c8: Float32Array, c16: Float64Array, M8: BigInt64Array, m8: BigInt64Array,
};
// Exponent bits, mantissa bits, bias; special values: as in IEEE 754, no infinities, one NaN at -0, or no sign.
const SMALL_FLOATS = {
  bfloat16: [8, 7, 127, "ieee"], float8_e5m2: [5, 2, 15, "ieee"], float8_e4m3: [4, 3, 7, "ieee"],
  float8_e3m4: [3, 4, 3, "ieee"], float8_e4m3fn: [4, 3, 7, "fn"], float8_e4m3fnuz: [4, 3, 8, "fnuz"],
  float8_e5m2fnuz: [5, 2, 16, "fnuz"], float8_e4m3b11fnuz: [4, 3, 11, "fnuz"], float8_e8m0fnu: [8, 0, 127, "fnu"],
};
const SMALL_INTS = { int2: Int8Array, int4: Int8Array, uint2: Uint8Array, uint4: Uint8Array };

// A dtype: bytes per item, the class of typed array for its memory, and a function that reads an item.
function layoutOf(dtype) {
  if (typeof dtype === "object" && dtype !== null) {
    if (Array.isArray(dtype.shape)) {
      const item = layoutOf(dtype.dtype);
      const shape = sizes(dtype.shape);
      return { size: product(shape) * item.size, Type: Uint8Array, kind: "array", item: dtype.dtype, shape };
    }
    if (!Array.isArray(dtype.fields)) throw new CanningError("a dtype that is none");
    const fields = dtype.fields.map(({ name, offset, dtype: of }) => ({ name, offset, dtype: of, ...layoutOf(of) }));
    const [size] = sizes([dtype.itemsize]);
    if (fields.some(field => typeof field.name !== "string" || !(field.offset >= 0) || field.offset + field.size > size)) {
      throw new CanningError("a dtype whose fields do not fit into it");
    }
    return { size, Type: Uint8Array, kind: "struct", fields };
  }
  if (Object.hasOwn(SMALL_FLOATS, dtype)) {
    const wide = dtype === "bfloat16";
    return { size: wide ? 2 : 1, Type: wide ? Uint16Array : Uint8Array, kind: "small", name: dtype, little: true };
  }
  if (Object.hasOwn(SMALL_INTS, dtype)) {
    const Type = SMALL_INTS[dtype];
    return { size: 1, Type, kind: Type === Int8Array ? "i1" : "u1", little: true };
  }
  const said = /^([<>|])([biufcMmSUV])(\d+)(?:\[(\d*)(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?$/.exec(dtype);
  if (!said || "Mm".includes(said[2]) !== Boolean(said[5])) throw new UnsupportedError("an array of a dtype that is not known here");
  const [, order, letter, digits, count, unit] = said;
  const little = order !== ">";
  if ("SV".includes(letter)) return { size: Number(digits), Type: Uint8Array, kind: letter, little };
  if (letter === "U") return { size: 4 * digits, Type: Uint32Array, kind: letter, little };
  const Type = NATIVE[letter + digits];
  if (!Type) throw new UnsupportedError("an array of a dtype that is not known here");
  return { size: Number(digits), Type, kind: letter + digits, little, unit, count: Number(count || 1) };
}

const product = numbers => numbers.reduce((one, other) => one * other, 1);

function sizes(numbers) {
  if (!Array.isArray(numbers) || !numbers.every(number => Number.isSafeInteger(number) && number >= 0)) {
    throw new CanningError("a shape that is none");
  }
  return numbers;
}

function contiguousStrides(shape, step) {
  const strides = [...shape];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

// Return the element of a dtype at an offset in memory.
function elementAt(view, at, layout) {
  const { kind, little } = layout;
  switch (kind) {
    case "b1": return view.getUint8(at) !== 0;
    case "i1": return view.getInt8(at);
    case "u1": return view.getUint8(at);
    case "i2": return view.getInt16(at, little);
    case "u2": return view.getUint16(at, little);
    case "i4": return view.getInt32(at, little);
    case "u4": return view.getUint32(at, little);
    case "i8": return narrowed(view.getBigInt64(at, little));
    case "u8": return narrowed(view.getBigUint64(at, little));
    case "f2": return smallFloat(view.getUint16(at, little), 5, 10, 15, "ieee");
    case "f4": return view.getFloat32(at, little);
    case "f8": return view.getFloat64(at, little);
    case "c8": return new Special("complex", { real: view.getFloat32(at, little), imag: view.getFloat32(at + 4, little) });
    case "c16": return new Special("complex", { real: view.getFloat64(at, little), imag: view.getFloat64(at + 8, little) });
    case "M8": case "m8": {
      const count = view.getBigInt64(at, little);
      const known = count === -(2n ** 63n) ? null : narrowed(count * BigInt(layout.count));
      return new Special(kind === "M8" ? "datetime64" : "timedelta64", { count: known, unit: layout.unit });
    }
    case "U": {
      const letters = Array.from({ length: layout.size / 4 }, (_, letter) => view.getUint32(at + 4 * letter, little));
      if (letters.some(letter => letter > 0x10ffff)) throw new CanningError("text that is none");
      return letters.map(letter => String.fromCodePoint(letter)).join("").replace(/\0+$/, "");
    }
    case "S": case "V": {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + at, layout.size);
      let end = bytes.length;
      while (kind === "S" && end && !bytes[end - 1]) end--;
      return bytes.subarray(0, end);
    }
    case "small": return smallFloat(layout.size === 2 ? view.getUint16(at, true) : view.getUint8(at), ...SMALL_FLOATS[layout.name]);
    case "array": {
      const memory = new Uint8Array(view.buffer, view.byteOffset + at, layout.size);
      return arrayOver(memory, layout.item, layout.shape);
    }
    default: return plainObject(layout.fields.map(field => [field.name, elementAt(view, at + field.offset, field)]));
  }
}

const narrowed = number => (BigInt.asIntN(54, number) === number && number > -(2n ** 53n) ? Number(number) : number);

function smallFloat(bits, exponentBits, mantissaBits, bias, special) {
  const mantissa = bits % 2 ** mantissaBits;
  const exponent = Math.floor(bits / 2 ** mantissaBits) % 2 ** exponentBits;
  const sign = special !== "fnu" && Math.floor(bits / 2 ** (mantissaBits + exponentBits)) ? -1 : 1;
  const last = exponent === 2 ** exponentBits - 1;
  if (special === "fnu") return last ? NaN : 2 ** (exponent - bias);
  if (special === "fnuz" && sign < 0 && !exponent && !mantissa) return NaN;
  if (special === "fn" && last && mantissa === 2 ** mantissaBits - 1) return NaN;
  if (special === "ieee" && last) return mantissa ? NaN : sign * Infinity;
  const fraction = mantissa / 2 ** mantissaBits;
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - bias) : fraction * 2 ** (1 - bias));
}

/** An array: typed memory with a shape. `strides` and `offset` count in elements of `data`. */
export class NDArray {
  #layout;
  #view;

  /** Make an array of a typed array, by default of one dimension in its own dtype; nothing is copied. */
  constructor(data, { shape, dtype = dtypeOf(data), strides, offset = 0 } = {}) {
    this.dtype = dtype;
    this.data = data;
    this.#layout = Array.isArray(data) ? null : layoutOf(dtype);
    const step = this.#layout ? this.#layout.size / data.BYTES_PER_ELEMENT : 1;
    this.shape = sizes(shape ?? [step ? data.length / step : 0]);
    this.strides = strides ?? contiguousStrides(this.shape, step);
    this.offset = offset;
    if (this.#layout) this.#view = viewOf(bytesOf(data));
    const [low, high] = extent(this.shape, this.strides, offset);
    if (this.size && (low < 0 || high + step > data.length)) throw new RangeError("the array is larger than its data");
  }

  /** The number of items. */
  get size() { return product(this.shape); }

  /** The size of an item in bytes; 0 for arrays of objects. */
  get itemsize() { return this.#layout?.size ?? 0; }

  /** Whether items follow each other in C order, from the start of `data` to its end. */
  get contiguous() {
    const step = this.#layout ? this.#layout.size / this.data.BYTES_PER_ELEMENT : 1;
    const strides = contiguousStrides(this.shape, step);
    const fits = this.shape.every((length, axis) => length < 2 || strides[axis] === this.strides[axis]);
    return this.size === 0 || (fits && this.offset === 0 && this.size * step === this.data.length);
  }

  /** Return one item as number, text or bytes; 64-bit integers are numbers if exact, else BigInt. */
  get(...indices) {
    if (indices.length !== this.shape.length) throw new RangeError(`an array of ${this.shape.length} dimensions`);
    let at = this.offset;
    indices.forEach((index, axis) => {
      if (!(index >= 0 && index < this.shape[axis])) throw new RangeError(`no item ${index} in dimension ${axis}`);
      at += index * this.strides[axis];
    });
    return this.#at(at);
  }

  #at(at) {
    return this.#layout ? elementAt(this.#view, at * this.data.BYTES_PER_ELEMENT, this.#layout) : this.data[at];
  }

  *#places(axis = 0, at = this.offset) {
    if (axis === this.shape.length) {
      yield at;
    } else {
      for (let index = 0; index < this.shape[axis]; index++) yield* this.#places(axis + 1, at + index * this.strides[axis]);
    }
  }

  /** Go through all items in C order. */
  *[Symbol.iterator]() {
    for (const at of this.#places()) yield this.#at(at);
  }

  /** Return the items as nested arrays of the array's shape; a single item if there are no dimensions. */
  toNested(axis = 0, at = this.offset) {
    if (axis === this.shape.length) return this.#at(at);
    const items = Array.from({ length: this.shape[axis] });
    return items.map((_, index) => this.toNested(axis + 1, at + index * this.strides[axis]));
  }

  /** Return the array in C order: itself if it is in that order, else a copy. */
  toContiguous() {
    if (this.contiguous) return this;
    const step = this.#layout ? this.#layout.size / this.data.BYTES_PER_ELEMENT : 1;
    const data = this.#layout ? new this.data.constructor(this.size * step) : new Array(this.size);
    let to = 0;
    for (const at of this.#places()) {
      for (let part = 0; part < step; part++) data[to++] = this.data[at + part];
    }
    return new NDArray(data, { dtype: this.dtype, shape: this.shape });
  }
}

const DTYPES = new Map([
  [Int8Array, "|i1"], [Uint8Array, "|u1"], [Uint8ClampedArray, "|u1"], [Int16Array, "<i2"], [Uint16Array, "<u2"],
  [Int32Array, "<i4"], [Uint32Array, "<u4"], [BigInt64Array, "<i8"], [BigUint64Array, "<u8"],
  [Float32Array, "<f4"], [Float64Array, "<f8"],
]);
if (globalThis.Float16Array) DTYPES.set(globalThis.Float16Array, "<f2");

const dtypeOf = data => (Array.isArray(data) ? "O" : DTYPES.get(data.constructor));

function extent(shape, strides, offset) {
  let [low, high] = [offset, offset];
  shape.forEach((length, axis) => {
    const reach = (length - 1) * strides[axis];
    if (reach < 0) low += reach;
    else high += reach;
  });
  return [low, high];
}

// Make an array over memory: a view if it is aligned and little-endian, and its strides are whole elements.
function arrayOver(memory, dtype, shape, offset = null, strides = null) {
  const layout = layoutOf(dtype);
  const { size, Type } = layout;
  const count = product(sizes(shape));
  if ((offset === null) !== (strides === null)) throw new CanningError("an array with half a layout");
  if (strides === null) {
    if (count * size !== memory.length) throw new CanningError("an array whose memory is not as large as its shape");
    [offset, strides] = [0, contiguousStrides(shape, size)];
  }
  if (strides.length !== shape.length || ![offset, ...strides].every(Number.isSafeInteger)) {
    throw new CanningError("an array with a layout that is none");
  }
  const [low, high] = extent(shape, strides, offset);
  if (count && (low < 0 || high + size > memory.length)) throw new CanningError("an array that lies outside its memory");
  if (!count) return new NDArray(new Type(0), { dtype: asLittle(dtype), shape, strides: shape.map(() => 0) });
  const unit = Type.BYTES_PER_ELEMENT;
  if (strides.some(stride => stride % unit)) {
    if (count * size > 4 * memory.length) throw new UnsupportedError("an array that repeats memory which is not aligned");
    const items = new NDArray(memory, { dtype: `|V${size}`, shape, strides, offset }).toContiguous();
    return arrayOver(items.data, dtype, shape);
  }
  const phase = offset % unit;
  const whole = Math.floor((memory.length - phase) / unit);
  let part = memory.subarray(phase, phase + whole * unit);
  if (layout.little === false && unit > 1) part = swapped(part, unit);
  if (part.byteOffset % unit) part = part.slice();
  const data = new Type(part.buffer, part.byteOffset, whole);
  const places = { strides: strides.map(stride => stride / unit), offset: (offset - phase) / unit };
  return new NDArray(data, { dtype: asLittle(dtype), shape, ...places });
}

const asLittle = dtype => (typeof dtype === "string" ? dtype.replace(/^>/, "<") : dtype);

function swapped(bytes, size) {
  const out = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at++) out[at] = bytes[at - (at % size) + size - 1 - (at % size)];
  return out;
}

// -- values without a type in JavaScript ------------------------------------------------------------------------------

const MILLISECONDS = { W: 604_800_000, D: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
const PARTS = { us: 1e3, ns: 1e6, ps: 1e9, fs: 1e12, as: 1e15 };

/**
 * A value with a `kind` and the members that the format defines for it: `date`, `datetime`, `time`,
 * `timedelta`, `timezone`, `zoneinfo`, `decimal`, `fraction`, `uuid`, `range`, `complex`, `dtype`, `datetime64`,
 * `timedelta64`, `masked`, `object`.
 */
export class Special {
  constructor(kind, members) {
    this.kind = kind;
    Object.assign(this, members);
  }

  toString() { return this.v ?? this.key ?? this.kind; }

  /** The Date of a date, datetime or datetime64; without a zone, UTC is assumed. Null if there is none. */
  toDate() {
    if (this.kind === "datetime64") {
      if (this.count === null) return null;
      const { count, unit } = this;
      if (unit === "Y") return yearsOn(Number(count), 0);
      if (unit === "M") return yearsOn(0, Number(count));
      return new Date(unit in PARTS ? Math.floor(Number(count) / PARTS[unit]) : Number(count) * MILLISECONDS[unit]);
    }
    if (this.kind !== "date" && this.kind !== "datetime") throw new TypeError(`a ${this.kind} is no date`);
    const [, clock, fraction = "0"] = /^([^.]*)(?:\.(\d+))?$/.exec(this.v);
    const wall = Date.parse(clock.includes("T") ? `${clock}Z` : clock) + Math.floor(fraction.padEnd(6, "0").slice(0, 6) / 1000);
    return new Date(this.zone ? instantOf(wall, this.zone, this.fold) : wall);
  }

  /** The milliseconds of a timedelta or timedelta64. */
  get milliseconds() {
    if (this.kind === "timedelta") return this.days * 86_400_000 + this.seconds * 1000 + this.microseconds / 1000;
    if (this.kind !== "timedelta64" || this.count === null) return NaN;
    return Number(this.count) * (MILLISECONDS[this.unit] ?? 1 / PARTS[this.unit]);
  }
}

const yearsOn = (years, months) => new Date(new Date(0).setUTCFullYear(1970 + years, months));

// `fold` selects one of the two offsets around a change of the clock: https://peps.python.org/pep-0495/
function instantOf(wall, zone, fold) {
  if (zone.kind === "timezone") return wall - zone.offset.milliseconds;
  const day = 86_400_000;
  const instants = [wall - day, wall + day].map(near => wall - zoneOffset(zone.key, near));
  const fits = instants.map(instant => instant + zoneOffset(zone.key, instant) === wall);
  return instants[fits[0] === fits[1] ? Number(Boolean(fold)) : Number(fits[1])];
}

function zoneOffset(key, instant) {
  const numeric = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
  const format = new Intl.DateTimeFormat("en-US", { timeZone: key, hourCycle: "h23", era: "short", ...numeric });
  const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, value]));
  const year = parts.era === "BC" ? 1 - parts.year : Number(parts.year);
  const clock = new Date(0);
  clock.setUTCFullYear(year, parts.month - 1, parts.day);
  clock.setUTCHours(parts.hour, parts.minute, parts.second);
  return clock.getTime() - Math.floor(instant / 1000) * 1000;
}

function isKind(...kinds) {
  return value => value instanceof Special && kinds.includes(value.kind);
}

const isFlat = array => array instanceof NDArray && array.shape.length === 1 && typeof array.dtype === "string";
const isInteger = value => Number.isInteger(value) || typeof value === "bigint";

const isArray = value => value instanceof NDArray;
const isArrayOrNull = value => value === null || isArray(value);

// The parts of each kind of column, and what each must be.
const COLUMNS = {
  array: { values: isFlat },
  masked: { values: isFlat, mask: isFlat },
  times: { values: isFlat, zone: isKind("timezone", "zoneinfo") },
  text: { offsets: isFlat, data: array => isFlat(array) && array.dtype === "|u1" },
  categories: { codes: isFlat, categories: fields => typeof fields === "object" && fields?.kind !== "categories" },
  objects: { items: Array.isArray },
  range: { start: isInteger, stop: isInteger, step: value => isInteger(value) && Number(value) !== 0 },
};

/** A column of a table, or an index, whatever its `kind`: `get(row)`, `length`, and all rows in a loop. */
export class Column {
  constructor(fields, name = null, index = null, type = "pandas.Series") {
    this.type = type;
    this.kind = fields.kind;
    this.fields = fields;
    this.name = name;
    this.index = index;
    if (!Object.hasOwn(COLUMNS, this.kind)) throw new UnsupportedError(`a column of the kind ${this.kind}, which is not known here`);
    for (const [part, fits] of Object.entries(COLUMNS[this.kind])) {
      if (!fits(fields[part])) throw new CanningError(`a column of the kind ${this.kind} with no such ${part} as it needs`);
    }
    const { values, mask, offsets, data, codes, items, start, stop, step } = fields;
    if (this.kind === "categories") fields.categories = new Column(fields.categories);
    if (this.kind === "range") this.length = Math.max(0, Math.ceil((stop - start) / step));
    else this.length = offsets ? offsets.size - 1 : (values ?? codes ?? items).size ?? items.length;
    const outside = offsets && !(this.length >= 0 && offsets.get(0) >= 0 && offsets.get(this.length) <= data.size);
    if (outside || (mask && !(isFlat(mask) && mask.size === this.length))) throw new CanningError("a column whose parts do not fit");
  }

  /** The memory of all rows as a typed array, for a column of numbers or times; null for other kinds. */
  get data() { return this.fields.values?.toContiguous().data ?? null; }

  /** The value of a row; null if it is missing. */
  get(row) {
    const { values, mask, offsets, data, codes, categories, zone, items, start, step } = this.fields;
    if (!(row >= 0 && row < this.length)) throw new RangeError(`no row ${row}`);
    if (mask?.get(row)) return null;
    switch (this.kind) {
      case "text": {
        const [start, end] = [offsets.get(row), offsets.get(row + 1)];
        if (!(start >= 0 && start <= end && end <= data.size)) throw new CanningError("text that lies outside its column");
        return textOf(data.data.subarray(start, end));
      }
      case "categories": return codes.get(row) === -1 ? null : categories.get(codes.get(row));
      case "range": return start + row * step;
      case "objects": return items[row];
      default: {
        const value = values.get(row);
        if (value?.count === null) return null;
        return this.kind === "times" ? new Special(value.kind, { ...value, zone }) : value;
      }
    }
  }

  *[Symbol.iterator]() {
    for (let row = 0; row < this.length; row++) yield this.get(row);
  }

  /** Return all values as an Array. */
  toArray() { return [...this]; }
}

/** A table: its columns in order, their names, and the index of its rows, if it has one. */
export class Table {
  constructor(type, { names, columns, index = null, ...others }) {
    this.type = type;
    this.names = names;
    if (names.length !== columns.length) throw new CanningError("a table with another number of names than of columns");
    this.columns = columns.map((fields, number) => new Column(fields, names[number]));
    this.index = index && new Column(index, index.name);
    if (new Set([...this.columns, ...(index ? [this.index] : [])].map(column => column.length)).size > 1) {
      throw new CanningError("a table whose columns have different lengths");
    }
    this.others = others;
  }

  /** Make a table of columns by name: typed arrays, or Arrays of any values; null marks missing ones. */
  static of(columns, type = "pandas.DataFrame") {
    const names = Object.keys(columns);
    const made = new Table(type, { names, columns: names.map(name => columnOf(columns[name])) });
    if (type.startsWith("pandas.")) made.index = new Column({ kind: "range", start: 0, stop: made.length, step: 1 });
    return made;
  }

  /** The number of rows. */
  get length() { return this.columns[0]?.length ?? this.index?.length ?? 0; }

  /** Return a column by its name; a `RangeError` lists the first names if there is none. */
  column(name) {
    const at = this.names.indexOf(name);
    if (at < 0) throw new RangeError(`no column ${shown(name)}: there are ${this.names.slice(0, 20).map(shown).join(", ") || "none"}`);
    return this.columns[at];
  }

  /** Return a row as an object. */
  row(number) { return plainObject(this.columns.map(column => [column.name, column.get(number)])); }
}

// A key or a name, as a path and an error show it.
function shown(key) {
  const text = typeof key === "string" ? JSON.stringify(key) : ["object", "function"].includes(typeof key) ? `<${typeof key}>` : String(key);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function columnOf(values) {
  if (values instanceof NDArray) return { kind: "array", values };
  if (ArrayBuffer.isView(values)) return { kind: "array", values: new NDArray(values) };
  const mask = values.map(value => value === null);
  const all = kind => values.every(value => value === null || kind(value));
  if (all(value => value instanceof Date)) {
    const counts = BigInt64Array.from(values, value => (value === null ? -(2n ** 63n) : BigInt(value.getTime())));
    return { kind: "array", values: new NDArray(counts, { dtype: "<M8[ms]" }) };
  }
  if (!all(value => typeof value === "string")) return { kind: "objects", items: values };
  const texts = values.map(value => encoder.encode(value ?? ""));
  const offsets = new BigInt64Array(texts.length + 1);
  texts.forEach((text, row) => { offsets[row + 1] = offsets[row] + BigInt(text.length); });
  const text = { kind: "text", offsets: new NDArray(offsets), data: new NDArray(joined(texts)) };
  return mask.includes(true) ? { ...text, mask: new NDArray(Uint8Array.from(mask, Number), { dtype: "|b1" }) } : text;
}

function plainObject(pairs) {
  const made = {};
  for (const [name, value] of pairs) {
    if (name === "__proto__") Object.defineProperty(made, name, { value, enumerable: true, writable: true, configurable: true });
    else made[name] = value;
  }
  return made;
}

// -- values of a message ----------------------------------------------------------------------------------------------

const SCHEMA = 1;

/** Return the value of a parsed and decoded message. Arrays are views of its memory. */
export function valueOf(message) {
  const header = message.extensions.get(PORTABLE);
  if (!message.flags.has("PORTABLE") || !header) {
    throw new UnsupportedError("the message is not portable: write it with canning.Serializer(portable=True)");
  }
  let told;
  try {
    told = JSON.parse(utf8.decode(header));
  } catch {
    throw new CanningError("what the message says of itself is no JSON");
  }
  if (told?.portable !== SCHEMA) throw new UnsupportedError(`a portable message of version ${told?.portable}`);
  if (!Object.hasOwn(told, "object")) throw new CanningError("a header without an object");
  try {
    return new Builder(message).build(told.object);
  } catch (error) {
    if (error instanceof CanningError) throw error;
    if (error instanceof TypeError || error instanceof RangeError) throw new CanningError(`it contradicts itself: ${error.message}`);
    throw error;
  }
}

class Builder {
  constructor(message) {
    this.head = message.frames[0];
    this.buffers = buffersOf(message);
    this.known = new Map();
  }

  build(node) {
    if (typeof node === "number" && !(Math.abs(node) <= Number.MAX_SAFE_INTEGER)) { // whole, or beyond all numbers
      throw new CanningError("a number that is too large to be exact");
    }
    if (node === null || typeof node !== "object") return node;
    if (Array.isArray(node)) return node.map(item => this.build(item));
    if (!Object.hasOwn(node, "$")) return plainObject(Object.entries(node).map(([name, item]) => [name, this.build(item)]));
    const make = Object.hasOwn(MAKERS, node.$) ? MAKERS[node.$] : null;
    if (!make) throw new UnsupportedError(`a ${node.$}, which is not known here`);
    return this.keep(node, make(this, node));
  }

  keep(node, made) {
    if (Object.hasOwn(node, "id")) this.known.set(node.id, made);
    return made;
  }

  memory({ buffer, at, length }) {
    const inside = buffer === undefined;
    const memory = inside ? this.head.subarray(at, at + length) : Number.isInteger(buffer) && this.buffers[buffer];
    if (!memory || (inside && !(Number.isInteger(at) && at >= 0 && memory.length === length))) {
      throw new CanningError("memory that is not in the message");
    }
    return memory;
  }

  // A container that may hold itself is registered before its items are read.
  items(node, made, add) {
    this.keep(node, made);
    for (const item of node.items) add(this.build(item));
    return made;
  }
}

const number = text => {
  if (typeof text === "number") return text;
  if (!["nan", "inf", "-inf"].includes(text)) throw new CanningError("a number that is none");
  return text === "nan" ? NaN : text === "inf" ? Infinity : -Infinity;
};

const list = (builder, node) => {
  const made = [];
  return builder.items(node, made, item => made.push(item));
};

const set = (builder, node) => {
  const made = new Set();
  return builder.items(node, made, item => made.add(item));
};

// The members of each kind: text in a format, text of any kind, a number, a flag, or what a function takes when it is built.
const DATE = "\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])";
const CLOCK = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{6})?";
// Whether the day that a text begins with is in the calendar of Python, which begins with year 1.
const isDay = text => {
  const [year, month, day] = text.slice(0, 10).split("-").map(Number);
  const last = new Date(0);
  last.setUTCFullYear(year, month, 0);
  return year > 0 && day <= last.getUTCDate();
};
const isFold = value => value === 0 || value === 1;
const MEMBERS = {
  date: { v: DATE },
  datetime: { v: `${DATE}T${CLOCK}`, fold: isFold, zone: isKind("timezone", "zoneinfo") },
  time: { v: CLOCK, fold: isFold, zone: isKind("timezone", "zoneinfo") },
  timedelta: { days: isInteger, seconds: isInteger, microseconds: isInteger },
  timezone: { offset: isKind("timedelta"), name: "string" },
  zoneinfo: { key: "string" },
  decimal: { v: "-?(\\d+(\\.\\d+)?(E[+-]?\\d+)?|s?NaN\\d*|Infinity)" },
  fraction: { v: "-?\\d+/[1-9]\\d*" },
  uuid: { v: "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" },
  range: { start: isInteger, stop: isInteger, step: isInteger },
  masked: { data: isArray, mask: isArrayOrNull, fill_value: isArrayOrNull, hard_mask: "boolean" },
};
const MAY_MISS = ["fold", "zone", "name"];

function special(builder, node) {
  const members = {};
  for (const [name, form] of Object.entries(MEMBERS[node.$])) {
    if (!Object.hasOwn(node, name) && MAY_MISS.includes(name)) continue;
    const value = typeof form === "function" ? builder.build(node[name]) : node[name];
    const fits = typeof form === "function" ? form(value)
      : typeof value === form || (typeof value === "string" && new RegExp(`^${form}$`).test(value));
    if (!fits || (form.includes?.(DATE) && !isDay(value))) throw new CanningError(`a ${node.$} that is none`);
    members[name] = value;
  }
  return new Special(node.$, members);
}

const array = (builder, { dtype, shape, offset, strides, ...source }) =>
  arrayOver(builder.memory(source), dtype, shape, offset, strides);

const MAKERS = {
  ref: (builder, { id }) => {
    if (!builder.known.has(id)) throw new CanningError(`a reference to ${id}, which is not there yet`);
    return builder.known.get(id);
  },
  int: (_, { v }) => {
    if (!/^-?\d+$/.test(v)) throw new CanningError("a number that is none");
    return narrowed(BigInt(v));
  },
  float: (_, { v }) => number(v),
  complex: (_, { real, imag }) => new Special("complex", { real: number(real), imag: number(imag) }),
  str: (builder, node) => textOf(builder.memory(node)),
  bytes: (builder, node) => builder.memory(node),
  bytearray: (builder, node) => builder.memory(node),
  list,
  tuple: list,
  set,
  frozenset: set,
  dict: (builder, node) => {
    if (node.items.length % 2) throw new CanningError("a dict whose last key has no value");
    const keys = node.items.filter((_, at) => at % 2 === 0);
    const plain = keys.every(key => typeof key === "string");
    const made = builder.keep(node, plain ? {} : new Map());
    for (const [at, key] of keys.entries()) {
      const [name, value] = [builder.build(key), builder.build(node.items[2 * at + 1])];
      if (plain) Object.defineProperty(made, name, { value, enumerable: true, writable: true, configurable: true });
      else made.set(name, value);
    }
    return made;
  },
  date: special,
  datetime: special,
  time: special,
  timedelta: special,
  timezone: special,
  zoneinfo: special,
  decimal: special,
  fraction: special,
  uuid: special,
  dtype: (_, { dtype }) => {
    layoutOf(dtype);
    return new Special("dtype", { dtype });
  },
  range: special,
  array,
  memoryview: array,
  scalar: (builder, node) => {
    if (node.dtype === "U") {
      const text = builder.build(node.v ?? null);
      if (typeof text !== "string") throw new CanningError("a scalar that is none");
      return text;
    }
    if (node.dtype === "S") return builder.memory(node);
    return array(builder, { ...node, shape: [] }).get();
  },
  objects: (builder, { axes, ...node }) => {
    const shape = sizes(node.shape);
    const made = builder.keep(node, new NDArray(new Array(product(shape)), permuted(shape, axes)));
    if (node.items.length !== made.data.length) throw new CanningError("an array with another number of items than its shape");
    node.items.forEach((item, at) => { made.data[at] = builder.build(item); });
    return made;
  },
  strings: (builder, node) => MAKERS.objects(builder, node),
  masked: special,
  object: (builder, node) => {
    const { type, version } = node;
    const part = version === 0 ? "state" : "fields";
    if (typeof type !== "string" || !(version >= 0) || !Object.hasOwn(node, part)) throw new CanningError("an object that is none");
    const made = builder.build(node[part]);
    const make = version === 1 && Object.hasOwn(TYPES, type) ? TYPES[type] : null;
    return make ? make(made, type) : new Special("object", { type, version, [part]: made });
  },
};

// Items are stored in the order of `axes`, the widest stride first.
function permuted(shape, axes) {
  if (!axes) return { dtype: "O", shape };
  if (axes.length !== shape.length || new Set(axes).size !== shape.length || axes.some(axis => !(axis in shape))) {
    throw new CanningError("an order of axes that is none");
  }
  const inMemory = contiguousStrides(axes.map(axis => shape[axis]), 1);
  return { dtype: "O", shape, strides: shape.map((_, axis) => inMemory[axes.indexOf(axis)]) };
}

const table = (fields, type) => {
  if (type.startsWith("pandas.") && !fields.index) throw new CanningError("a table of pandas without an index");
  return new Table(type, fields);
};
const series = ({ name, values, index }, type) => {
  const made = new Column(values, name, index && new Column(index, index.name), type);
  if (index && made.index.length !== made.length) throw new CanningError("a column whose index has another length");
  return made;
};
const TYPES = {
  "pandas.DataFrame": table,
  "polars.DataFrame": table,
  "pyarrow.Table": table,
  "pandas.Series": series,
  "pandas.Index": series,
  "polars.Series": series,
  "torch.Tensor": tensor,
};

// Floats of 8 and 16 bits arrive as integers with the same bits.
function tensor({ values, dtype }) {
  if (!Object.hasOwn(SMALL_FLOATS, dtype)) return values;
  const { data, shape, strides, offset } = values;
  const Type = data.BYTES_PER_ELEMENT === 2 ? Uint16Array : Uint8Array;
  return new NDArray(new Type(data.buffer, data.byteOffset, data.length), { dtype, shape, strides, offset });
}

// -- reading ----------------------------------------------------------------------------------------------------------

const cut = source => (Array.isArray(source) ? source : framesOf(source));

function only([value, rest]) {
  if (rest.length) throw new CanningError(`${rest.length} frames more than one message has`);
  return value;
}

/** Read one message, a blob or its frames, that needs no codec and no key. Arrays are views of its memory. */
export function readSync(source) {
  const message = parse(cut(source));
  return only([valueOf(message), message.rest]);
}

/** Read one message, a blob or its frames. With a `key` it must be signed; `codecs` is as for `decode`. */
export async function read(source, { key, codecs } = {}) {
  const frames = cut(source);
  if (key !== undefined) await verify(frames, key);
  const message = await decode(parse(frames), codecs);
  return only([valueOf(message), message.rest]);
}

/** Read all messages of a chain, which `transport` sends under one signature. */
export async function readAll(source, { key, codecs } = {}) {
  let frames = cut(source);
  if (key !== undefined) await verify(frames, key, { all: true });
  const values = [];
  while (frames.length) {
    const message = await decode(parse(frames), codecs);
    values.push(valueOf(message));
    frames = message.rest;
  }
  return values;
}

/** Read a Jupyter message of `transport.engines.jupyter.pack`: its content (a comm's data) and its buffers. */
export async function unpack(content, buffers, options) {
  if (content?.canning !== buffers.length) throw new CanningError("the message does not say that its buffers are canning's");
  return read(Array.from(buffers), options);
}

// -- writing ----------------------------------------------------------------------------------------------------------

const OWN_FRAME = 1024;
const BYTES_OWN_FRAME = 65536;
const LONG_TEXT = 1024;
const [PLAIN_FLAG, PORTABLE_FLAG] = [1, 256];
const CALLS = "canning.calls";
const HOLDS_ITSELF = "only Arrays, Maps and plain objects can hold themselves, and not as keys";

// A value that cannot be written; `write` says where it is.
class Unwritable extends TypeError {
  constructor(reason, value) {
    super(reason);
    this.value = value;
  }
}

// The parts of a value in the order in which they are written, each with its step of a path.
function* partsOf(value) {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if (Array.isArray(value)) for (const [at, item] of value.entries()) yield [`[${at}]`, item];
  else if (value instanceof Map) {
    for (const [key, item] of value) yield* [[`.<key ${shown(key)}>`, key], [`[${shown(key)}]`, item]];
  } else if (value instanceof Set) for (const item of value) yield [".<item>", item];
  else if (value instanceof Table) {
    for (const column of value.columns) yield [`.column(${shown(column.name)})`, column];
    yield* [[".index", value.index], [".others", value.others]];
  } else if (value instanceof Column) {
    yield* partsOf(value.fields.items ?? value.fields);
    yield [".index", value.index];
  } else if (value instanceof NDArray) yield* value.dtype === "O" ? partsOf(value.data) : [];
  else for (const [name, item] of Object.entries(value)) yield [`[${shown(name)}]`, item];
}

function pathTo(culprit, value) {
  const ways = [["value", [["", value]][Symbol.iterator]()]];
  const seen = new Set();
  while (ways.length) {
    const [path, parts] = ways.at(-1);
    const { value: found, done } = parts.next();
    if (done) {
      ways.pop();
      continue;
    }
    const [step, part] = found;
    if (Object.is(part, culprit)) return path + step;
    if (typeof part !== "object" || part === null || seen.has(part)) continue;
    seen.add(part);
    ways.push([path + step, partsOf(part)]);
  }
  return "value";
}
const SAFE_KEY = /^(?!\$|\p{Nd}+$)/su;

/** Write a portable message as frames; the memory of large arrays and bytes is not copied. */
export function write(value) {
  try {
    return new Writer().message(value);
  } catch (error) {
    if (!(error instanceof Unwritable)) throw error;
    throw new TypeError(`${pathTo(error.value, value)}: ${error.message}`);
  }
}

/** Put frames into a blob, which `canning.loads` can read. */
export function toBlob(frames) {
  const places = [];
  let at = 16 + 8 * frames.length;
  for (const frame of frames) {
    at += -at & 63;
    places.push(at);
    at += frame.length;
  }
  const blob = new Uint8Array(at + (-at & 63));
  blob.set(BLOB);
  blob.set(littleEndian([BigInt(frames.length), ...frames.map(frame => BigInt(frame.length))]), 8);
  frames.forEach((frame, number) => blob.set(frame, places[number]));
  return blob;
}

/**
 * Make the content (a comm's data) and buffers of a Jupyter message, for `transport.engines.jupyter.unpack`.
 * `content` is the other content of the message; with a `key` the message is signed.
 */
export async function pack(value, { content = {}, key } = {}) {
  const buffers = key === undefined ? write(value) : await sign(write(value), key);
  return { content: { ...content, canning: buffers.length }, buffers };
}

// A written object: the index of its entry in the pickle's memo, and its description for the header.
class Written {
  constructor(memo, natural, tagged) {
    Object.assign(this, { memo, natural, tagged, id: null });
  }

  told() { return this.id === null ? this.natural : { ...this.tagged, id: this.id }; }
}

// JSON.stringify loses the sign of -0.
function asJSON(node) {
  if (node instanceof Written) return asJSON(node.told());
  if (Array.isArray(node)) return `[${node.map(asJSON).join(",")}]`;
  if (Object.is(node, -0)) return "-0.0";
  if (node === null || typeof node !== "object") return JSON.stringify(node);
  return `{${Object.entries(node).map(([name, item]) => `${JSON.stringify(name)}:${asJSON(item)}`).join(",")}}`;
}

class Writer {
  constructor() {
    this.bytes = new Uint8Array(1024);
    this.view = viewOf(this.bytes);
    this.length = 0;
    this.memo = 0;
    this.names = new Map();
    this.seen = new Map();
    this.open = new Set();
    this.order = [];
    this.buffers = [];
    this.plain = true;
  }

  message(value) {
    this.op(0x80, 5);
    const object = this.put(value);
    this.op(".");
    this.order.filter(written => written.shared).forEach((written, id) => { written.id = id; });
    const header = encoder.encode(asJSON({ portable: SCHEMA, object }));
    const lengths = littleEndian(this.buffers.map(buffer => BigInt(buffer.length)));
    const extension = new Uint8Array(8 + header.length);
    viewOf(extension).setUint16(0, PORTABLE, true);
    viewOf(extension).setUint32(4, header.length, true);
    extension.set(header, 8);
    const footer = new Uint8Array(FOOTER);
    const view = viewOf(footer);
    view.setBigUint64(0, BigInt(this.length), true);
    view.setUint32(8, this.buffers.length + 1, true);
    view.setUint32(20, extension.length, true);
    footer[28] = VERSION;
    view.setUint16(29, PORTABLE_FLAG | (this.plain ? PLAIN_FLAG : 0), true);
    footer.set(MAGIC, 36);
    const head = joined([this.bytes.subarray(0, this.length), lengths, extension, footer]);
    return [sealed(head), ...this.buffers];
  }

  // -- opcodes: https://docs.python.org/3/library/pickletools.html lists them

  // Make room for so many bytes, and return its offset.
  room(size) {
    const at = this.length;
    this.length += size;
    if (this.length > this.bytes.length) {
      const larger = new Uint8Array(2 * this.length);
      larger.set(this.bytes.subarray(0, at));
      this.bytes = larger;
      this.view = viewOf(larger);
    }
    return at;
  }

  raw(bytes) {
    const at = this.room(bytes.length);
    this.bytes.set(bytes, at);
  }

  op(...codes) {
    for (const code of codes) {
      const at = this.room(1);
      this.bytes[at] = typeof code === "string" ? code.charCodeAt(0) : code;
    }
  }

  // Write an opcode and a size; use the short opcode if the size fits into a byte.
  sized(size, short, long) {
    if (size < 256) return this.op(short, size);
    this.op(long);
    const at = this.room(4);
    return this.view.setUint32(at, size, true);
  }

  memoize() {
    this.op(0x94);
    return this.memo++;
  }

  fetch(memo) {
    this.sized(memo, "h", "j");
  }

  name(module, name) {
    const known = this.names.get(`${module}.${name}`);
    if (module === CALLS) this.plain = false;
    if (known !== undefined) return this.fetch(known);
    this.text(module);
    this.text(name);
    this.op(0x93);
    this.names.set(`${module}.${name}`, this.memoize());
  }

  text(text) {
    const bytes = encoded(text);
    this.sized(bytes.length, 0x8c, "X");
    this.raw(bytes);
    return bytes.length;
  }

  integer(value) {
    if (value >= -(2 ** 31) && value < 2 ** 31) {
      this.op("J");
      const at = this.room(4);
      return this.view.setInt32(at, Number(value), true);
    }
    const bytes = [];
    let left = BigInt(value);
    do {
      bytes.push(Number(left & 255n));
      left >>= 8n;
    } while (!((left === 0n && bytes.at(-1) < 128) || (left === -1n && bytes.at(-1) >= 128)));
    this.sized(bytes.length, 0x8a, 0x8b);
    this.raw(bytes);
  }

  real(value) {
    this.op("G");
    const at = this.room(8);
    this.view.setFloat64(at, value);
  }

  // Write bytes, and return their offset.
  content(bytes) {
    this.sized(bytes.length, "C", "B");
    this.raw(bytes);
    return { at: this.length - bytes.length, length: bytes.length };
  }

  tuple(count, put) {
    if (count > 3) this.op("(");
    put();
    this.op([")", 0x85, 0x86, 0x87][count] ?? "t");
  }

  numbers(numbers) {
    this.tuple(numbers.length, () => numbers.forEach(each => this.integer(each)));
  }

  call(module, name, count, put) {
    this.name(module, name);
    this.tuple(count, put);
    this.op("R");
  }

  // Write memory as a separate buffer, or into the pickle if it is short; return its place.
  source(bytes, limit) {
    if (bytes.length < limit) return this.content(bytes);
    this.buffers.push(bytes);
    this.integer(this.buffers.length - 1);
    return { buffer: this.buffers.length - 1 };
  }

  // -- values: each function writes one, and returns its description for the header

  put(value) {
    switch (typeof value) {
      case "boolean":
        this.op(value ? 0x88 : 0x89);
        return value;
      case "number":
        if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
          this.integer(value);
          return value;
        }
        return this.float(value);
      case "bigint":
        this.integer(value);
        return Number.isSafeInteger(Number(value)) ? Number(value) : { $: "int", v: String(value) };
      case "string": {
        const length = this.text(value);
        if (length < LONG_TEXT || /\p{Surrogate}/u.test(value)) return value;
        return { $: "str", at: this.length - length, length };
      }
      case "object": {
        if (value !== null) return this.object(value);
        this.op("N");
        return null;
      }
      default:
        throw new Unwritable(value === undefined ? "undefined cannot be written: null can" : `a ${typeof value} cannot be written`, value);
    }
  }

  float(value) {
    this.real(value);
    if (Number.isInteger(value)) return { $: "float", v: value };
    return Number.isFinite(value) ? value : { $: "float", v: spelled(value) };
  }

  object(value) {
    const seen = this.seen.get(value);
    if (seen) {
      if (seen.memo === null) throw new Unwritable(HOLDS_ITSELF, value);
      seen.shared = true;
      this.fetch(seen.memo);
      return { $: "ref", get id() { return seen.id; } };
    }
    const written = new Written(null, null, null);
    this.seen.set(value, written);
    this.order.push(written);
    if (Array.isArray(value)) this.list(value, written);
    else if (value instanceof Map) this.dict([...value], written);
    else if (Object.getPrototypeOf(value) === Object.prototype) this.dict(Object.entries(value), written);
    else {
      written.natural = written.tagged = this.other(value);
      written.memo = this.memoize();
    }
    return written;
  }

  list(items, written) {
    this.op("]");
    written.memo = this.memoize();
    written.natural = [];
    written.tagged = { $: "list", items: written.natural };
    this.op("(");
    for (const item of items) written.natural.push(this.put(item));
    this.op("e");
  }

  dict(pairs, written) {
    this.op("}");
    written.memo = this.memoize();
    const items = [];
    written.tagged = { $: "dict", items };
    this.op("(");
    for (const [key, value] of pairs) items.push(this.key(key), this.put(value));
    this.op("u");
    const simple = pairs.every(([key]) => typeof key === "string" && SAFE_KEY.test(key) && key !== "__proto__");
    written.natural = simple ? plainObject(pairs.map(([key], at) => [key, items[2 * at + 1]])) : written.tagged;
  }

  other(value) {
    if (value instanceof Set) return this.set(value);
    if (value instanceof NDArray) return this.array(value);
    if (value instanceof Special) return this.special(value);
    if (value instanceof Column) return this.series(value);
    if (value instanceof Table) return this.table(value);
    if (value instanceof Date) return this.special(new Special("datetime", { v: clockOf(value), zone: UTC }));
    if (value instanceof Uint8Array || value instanceof ArrayBuffer || value instanceof DataView) {
      return this.memory(bytesOf(value));
    }
    if (ArrayBuffer.isView(value)) return this.array(new NDArray(value));
    throw new Unwritable(`a ${value.constructor?.name ?? "value"} cannot be written`, value);
  }

  set(value) {
    this.open.add(value);
    this.op(0x8f, "(");
    const items = Array.from(value, item => this.key(item));
    this.op(0x90);
    this.open.delete(value);
    return { $: "set", items };
  }

  // Keys and members of sets are immutable in Python: arrays become tuples there, and sets frozensets.
  key(value) {
    if (!Array.isArray(value) && !(value instanceof Set)) return this.put(value);
    if (this.open.has(value)) throw new Unwritable(HOLDS_ITSELF, value);
    this.open.add(value);
    const told = Array.isArray(value) ? { $: "tuple", items: [] } : { $: "frozenset", items: [] };
    const put = () => value.forEach(item => told.items.push(this.key(item)));
    if (told.$ === "tuple") {
      this.tuple(value.length, put);
    } else {
      this.op("(");
      put();
      this.op(0x91);
    }
    this.open.delete(value);
    return told;
  }

  memory(bytes) {
    if (bytes.length < BYTES_OWN_FRAME) return { $: "bytes", ...this.content(bytes) };
    let source;
    this.call(CALLS, "raw", 1, () => { source = this.source(bytes, BYTES_OWN_FRAME); });
    return { $: "bytes", ...source };
  }

  array(value) {
    if (value.dtype === "O") return this.objects(value);
    const within = value.contiguous || value.size * value.itemsize === value.data.byteLength ? value : value.toContiguous();
    const { dtype, shape, data } = within;
    const node = { $: "array", dtype, shape };
    this.call(CALLS, "array", within.contiguous ? 3 : 4, () => {
      Object.assign(node, this.source(bytesOf(data), OWN_FRAME));
      this.numbers(shape);
      this.dtype(dtype);
      if (within.contiguous) return;
      const [offset, ...strides] = [within.offset, ...within.strides].map(step => step * data.BYTES_PER_ELEMENT);
      Object.assign(node, { offset, strides });
      this.tuple(2, () => {
        this.integer(offset);
        this.numbers(strides);
      });
    });
    return node;
  }

  dtype(dtype) {
    if (typeof dtype === "string") {
      if (!/^\w/.test(dtype)) return this.text(dtype);
      return this.tuple(3, () => ["named", "ml_dtypes", dtype].forEach(each => this.text(each)));
    }
    if (dtype.shape) {
      return this.tuple(3, () => {
        this.text("array");
        this.dtype(dtype.dtype);
        this.numbers(dtype.shape);
      });
    }
    return this.tuple(5, () => {
      this.text("struct");
      this.integer(dtype.itemsize);
      this.op(dtype.aligned ? 0x88 : 0x89, dtype.record ? 0x88 : 0x89);
      this.tuple(dtype.fields.length, () => dtype.fields.forEach(field => this.field(field)));
    });
  }

  field({ name, title, offset, dtype }) {
    this.op("(");
    this.text(name);
    this.put(title ?? null);
    this.integer(offset);
    this.dtype(dtype);
    this.op("t");
  }

  objects(value) {
    const items = [];
    this.call(CALLS, "objects", 2, () => {
      this.numbers(value.shape);
      this.op("N");
    });
    const made = this.memoize();
    this.call(CALLS, "items", 2, () => {
      this.fetch(made);
      this.tuple(2, () => {
        this.op("]", "(");
        for (const item of value) items.push(this.put(item));
        this.op("e", 0x89);
      });
    });
    this.op("0");
    return { $: "objects", shape: value.shape, items };
  }

  special(value) {
    const write = SPECIALS[value.kind];
    if (!write) throw new Unwritable(`a ${value.kind} cannot be written`, value);
    return write(this, value);
  }

  zone(zone) {
    return zone ? { zone: this.put(zone) } : {};
  }

  registered(type, version, state) {
    let told;
    this.call(CALLS, "registered", 3, () => {
      this.text(version ? `${type}/${version}` : type);
      told = this.put(state);
      this.op("N");
    });
    return { $: "object", type, version, ...(version ? { fields: told } : { state: told }) };
  }

  series(value) {
    const { type, name, length } = value;
    const rows = value.index ?? (type === "pandas.Series" ? new Column({ kind: "range", start: 0, stop: length, step: 1 }) : null);
    const index = rows && { index: { ...columnFields(rows), name: rows.name } };
    return this.registered(type, 1, { name, values: columnFields(value), ...index });
  }

  table(value) {
    const index = value.index && { ...columnFields(value.index), name: value.index.name };
    const fields = { names: value.names, columns: value.columns.map(columnFields), ...(index && { index }), ...value.others };
    return this.registered(value.type, 1, fields);
  }
}

function columnFields({ fields }) {
  return fields.categories ? { ...fields, categories: columnFields(fields.categories) } : fields;
}

// The bytes as which Python pickles dates and times, most significant first.
const numbersOf = text => text.split(/[-T:.]/).map(Number);
const dayBytes = ([year, month, day], fold) => [year >> 8, year & 255, month | (fold ? 128 : 0), day];
const clockBytes = ([hour, minute, second, micro = 0], fold) =>
  [hour | (fold ? 128 : 0), minute, second, micro >> 16, (micro >> 8) & 255, micro & 255];
const folded = ({ fold }) => (fold ? { fold: 1 } : {});

// How a kind is written: the calls in the pickle, and its description in the header.
const SPECIALS = {
  complex: (writer, { real, imag }) => {
    writer.call("builtins", "complex", 2, () => [real, imag].forEach(each => writer.real(each)));
    const [one, other] = [real, imag].map(each => (Number.isFinite(each) ? each : spelled(each)));
    return { $: "complex", real: one, imag: other };
  },
  date: (writer, { v }) => {
    writer.call("datetime", "date", 1, () => writer.content(dayBytes(numbersOf(v))));
    return { $: "date", v };
  },
  datetime: (writer, value) => {
    const { v, zone, fold } = value;
    const numbers = numbersOf(v);
    let told;
    writer.call("datetime", "datetime", zone ? 2 : 1, () => {
      writer.content([...dayBytes(numbers, fold), ...clockBytes(numbers.slice(3))]);
      told = writer.zone(zone);
    });
    return { $: "datetime", v, ...folded(value), ...told };
  },
  time: (writer, value) => {
    const { v, zone, fold } = value;
    let told;
    writer.call("datetime", "time", zone ? 2 : 1, () => {
      writer.content(clockBytes(numbersOf(v), fold));
      told = writer.zone(zone);
    });
    return { $: "time", v, ...folded(value), ...told };
  },
  timedelta: (writer, { days, seconds, microseconds }) => {
    writer.call("datetime", "timedelta", 3, () => [days, seconds, microseconds].forEach(each => writer.integer(each)));
    return { $: "timedelta", days, seconds, microseconds };
  },
  timezone: (writer, { offset, name }) => {
    const told = { $: "timezone" };
    writer.call("datetime", "timezone", name === undefined ? 1 : 2, () => {
      told.offset = writer.put(offset);
      if (name !== undefined) told.name = writer.put(name);
    });
    return told;
  },
  zoneinfo: (writer, { key }) => {
    writer.call(CALLS, "registered", 3, () => {
      writer.text("zoneinfo.ZoneInfo");
      writer.tuple(1, () => writer.text(key));
      writer.op("N");
    });
    return { $: "zoneinfo", key };
  },
  decimal: (writer, { v }) => {
    writer.call("decimal", "Decimal", 1, () => writer.text(v));
    return { $: "decimal", v };
  },
  fraction: (writer, { v }) => {
    const [above, below = "1"] = v.split("/");
    writer.call("fractions", "Fraction", 2, () => [above, below].forEach(each => writer.integer(BigInt(each))));
    return { $: "fraction", v };
  },
  uuid: (writer, { v }) => {
    writer.name("uuid", "UUID");
    writer.op(")", 0x81, "}");
    writer.text("int");
    writer.integer(BigInt(`0x${v.replaceAll("-", "")}`));
    writer.op("s", "b");
    return { $: "uuid", v };
  },
  range: (writer, { start, stop, step }) => {
    const told = {};
    writer.call("builtins", "range", 3, () => {
      for (const [name, each] of Object.entries({ start, stop, step })) told[name] = writer.put(each);
    });
    return { $: "range", ...told };
  },
  dtype: (writer, { dtype }) => {
    writer.call(CALLS, "dtype", 1, () => writer.dtype(dtype));
    return { $: "dtype", dtype };
  },
  datetime64: (writer, value) => timeScalar(writer, value, "M"),
  timedelta64: (writer, value) => timeScalar(writer, value, "m"),
  object: (writer, { type, version, fields, state }) => writer.registered(type, version, fields ?? state),
};

function timeScalar(writer, { count, unit }, letter) {
  const dtype = `<${letter}8[${unit}]`;
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigInt64(0, count === null ? -(2n ** 63n) : BigInt(count), true);
  let source;
  writer.call(CALLS, "scalar", 2, () => {
    writer.text(dtype);
    source = writer.content(bytes);
  });
  return { $: "scalar", dtype, ...source };
}

const UTC = new Special("timezone", { offset: new Special("timedelta", { days: 0, seconds: 0, microseconds: 0 }) });

const spelled = value => (Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf");

const clockOf = date => date.toISOString().replace(/\.000Z$/, "").replace(/Z$/, "000");

// As UTF-8; lone surrogates as three bytes each, as in Python's pickles.
function encoded(text) {
  if (!/\p{Surrogate}/u.test(text)) return encoder.encode(text);
  const parts = Array.from(text, letter => {
    const code = letter.codePointAt(0);
    if (code < 0xd800 || code > 0xdfff) return encoder.encode(letter);
    return Uint8Array.of(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  });
  return joined(parts);
}

// Reads and writes messages of canning: https://… docs/wire-format.md is the format, docs/javascript.md the guide.
//
// A message is a list of frames. Frame 0 ends with a trailer, which says what the frames are; the others are memory, which
// the arrays that you get look at. Nothing here runs what a message says: values come from its JSON header, not from its pickle.

/** What is refused: a damaged message, one that contradicts itself, or a wrong signature. */
export class CanningError extends Error {
  get name() { return this.constructor.name; }
}

/** What is in order, as far as it was read, and cannot be read here: a codec, a version, a message that is not portable. */
export class UnsupportedError extends CanningError {}

// -- bytes ------------------------------------------------------------------------------------------------------------

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const equal = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);

const latin = text => Uint8Array.from(text, letter => letter.charCodeAt(0));

function bytesOf(source) {
  if (source instanceof Uint8Array) return source;
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

/** Tell whether bytes are a blob, which `dump` and `dumps` write: all frames of a message in one. */
export const isBlob = source => equal(bytesOf(source).subarray(0, 8), BLOB);

/** Cut a blob into its frames; they look at its memory. */
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

/** Read and check the trailer of frame 0, and what it says of the frames behind it. No codec is undone. */
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
  const inlineEnd = at - more - 24 * entries - 8 * (count - 1);
  if (count < 1 || pickleLength < 1 || pickleLength > inlineEnd || outside > (entries || count - 1)) {
    throw new CanningError("frame 0 contradicts itself: its parts do not fit into it");
  }
  if (checksum(head, inlineEnd) !== view.getUint32(at + 32, true)) {
    throw new CanningError("frame 0 is damaged: its checksum does not match");
  }
  if (head[at + 31]) throw new CanningError("frame 0 has something where there are zeros");
  const lengths = Array.from({ length: count - 1 }, (_, number) => uint64(view, inlineEnd + 8 * number));
  checkFrames(all, lengths);
  const extensions = parseExtensions(head.subarray(at - more, at));
  const flags = FLAGS.filter((_, bit) => view.getUint16(at + 29, true) & (1 << bit));
  const codecs = parseCodecs(extensions.get(CODECS), lengths.length);
  const decoded = lengths.map((length, number) => codecs.get(number + 1)?.length ?? length);
  const table = parseTable(view, at - more - 24 * entries, entries, decoded, inlineEnd - pickleLength);
  return {
    version,
    flags: new Set(flags),
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

const FOLD = 32768;
const ROW = 8192;

// A long body is added up, by columns and by rows, and the sums take its place.
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

/** Give the memory of each buffer of a parsed message, none of it copied but what is joined of several frames. */
export function buffersOf(message) {
  if (message.codecs.size) throw new UnsupportedError("frames that went through a codec: decode the message first");
  const { frames, inline, table } = message;
  if (!table) return frames.slice(1);
  return table.map(({ first, count, offset, length }) => {
    if (count === 1) return (first ? frames[first] : inline).subarray(offset, offset + length);
    const whole = new Uint8Array(length);
    let at = 0;
    for (const frame of frames.slice(first, first + count)) {
      whole.set(frame, at);
      at += frame.length;
    }
    return whole;
  });
}

// -- codecs -----------------------------------------------------------------------------------------------------------

const RAW = 2 ** 31;

/** Undo the codecs of a parsed message. `codecs` adds functions `(block, length) => bytes`, by name: `zstd`, say. */
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
  const whole = new Uint8Array(length);
  for (const [number, { data, raw }] of blocks.entries()) {
    const into = whole.subarray(number * 2 ** log2, (number + 1) * 2 ** log2);
    const block = raw ? data : await decompress(data, into.length);
    if (block.length !== into.length) throw new CanningError("a block is not as long as it was");
    if (raw || width === 1) into.set(block);
    else unshuffle(block, into, width);
  }
  return whole;
}

function unshuffle(block, into, width) {
  const items = Math.floor(block.length / width);
  for (let byte = 0; byte < width; byte++) {
    for (let item = 0; item < items; item++) into[item * width + byte] = block[byte * items + item];
  }
  into.set(block.subarray(items * width), items * width);
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

// Node has zstd from 22.15 on; of browsers, those whose DecompressionStream knows it.
async function zstd(block, length) {
  const native = globalThis.process?.getBuiltinModule?.("node:zlib")?.zstdDecompressSync;
  if (native) return asRefused(() => native(block, { maxOutputLength: length }));
  let stream;
  try {
    stream = new DecompressionStream("zstd");
  } catch {
    throw new UnsupportedError("zstd is not known to this platform: pass codecs: {zstd: (block, length) => bytes}");
  }
  const whole = new Blob([block]).stream().pipeThrough(stream);
  return asRefused(async () => bytesOf(await new Response(whole).arrayBuffer()));
}

async function asRefused(run) {
  try {
    return await run();
  } catch {
    throw new CanningError("a block that is no zstd");
  }
}

// -- the signature ----------------------------------------------------------------------------------------------------

const SIGNED_MARK = Uint8Array.of(1, 0x80, 0, 0, 32, 0, 0, 0);

/** Check the signature of a message by HMAC-SHA256, before anything else of it is read. `all` frames for a chain. */
export async function verify(frames, key, { all = false } = {}) {
  const given = Array.from(frames, bytesOf);
  const head = given[0];
  const footer = head.length - FOOTER;
  const code = footer - 32;
  const marked = code >= 8 && equal(head.subarray(-8), MAGIC) && head[footer + 29] & 16;
  if (!marked || !equal(head.subarray(code - 8, code), SIGNED_MARK)) throw new CanningError("the message is not signed");
  const signed = all ? given : given.slice(0, viewOf(head).getUint32(footer + 8, true));
  const numbers = BigUint64Array.of(BigInt(signed.length), ...signed.map(frame => BigInt(frame.length)));
  const parts = [latin("canning signature 1\n"), littleEndian(numbers), head.subarray(0, code)];
  parts.push(head.subarray(footer, footer + 32), MAGIC, ...signed.slice(1));
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const secret = await crypto.subtle.importKey("raw", bytesOf(key), algorithm, false, ["verify"]);
  const whole = await new Blob(parts).arrayBuffer();
  if (!(await crypto.subtle.verify("HMAC", secret, head.subarray(code, footer), whole))) {
    throw new CanningError("the signature does not match");
  }
}

function littleEndian(numbers) {
  const bytes = new Uint8Array(8 * numbers.length);
  numbers.forEach((number, at) => viewOf(bytes).setBigUint64(8 * at, number, true));
  return bytes;
}

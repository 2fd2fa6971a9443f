// The reader of notebooks/javascript as a command: python -m tests.vectors node tests/javascript/read.mjs
//
// With --again it writes what it has read, and answers `written`, a blob for each message.

import { createInterface } from "node:readline";
import {
  CanningError, Column, NDArray, Special, Table, UnsupportedError, buffersOf, decode, framesOf, parse, sign, toBlob, valueOf, verify,
  write,
} from "../../notebooks/javascript/canning.js";

const again = process.argv.includes("--again");
const hex = bytes => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");

async function answer({ message, key }) {
  const answered = { containers: [], values: [] };
  try {
    let frames = framesOf(Buffer.from(message, "base64"));
    if (key !== undefined) await verify(frames, Buffer.from(key, "hex"), { all: true });
    const messages = [];
    while (frames.length) {
      messages.push(await decode(parse(frames)));
      frames = messages.at(-1).rest;
    }
    answered.containers = messages.map(container);
    const values = messages.map(valueOf);
    if (again) return { written: await Promise.all(values.map(value => written(value, key))) };
    answered.values = values.map(value => neutral(value));
    return answered;
  } catch (error) {
    if (again && error instanceof TypeError) return { unsupported: error.message };
    if (!(error instanceof CanningError)) throw error;
    const { containers } = answered;
    const why = error.message;
    return error instanceof UnsupportedError ? { ...(containers.length && { containers }), unsupported: why } : { refused: why };
  }
}

async function written(value, key) {
  const frames = key === undefined ? write(value) : await sign(write(value), Buffer.from(key, "hex"));
  return Buffer.from(toBlob(frames)).toString("base64");
}

const container = message => ({
  frames: message.frames.length,
  flags: [...message.flags],
  extensions: [...message.extensions.keys()],
  outside: message.outside,
  buffers: buffersOf(message).map(hex),
});

// -- what a value holds, as tests/vectors/neutral.py has it

function neutral(value, path = [], seen = new Map()) {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") return float(value);
  if (typeof value === "bigint") return { int: String(value) };
  if (value instanceof Uint8Array) return { bytes: hex(value) };
  if (value instanceof Special) return special(value, path, seen);
  if (value instanceof Column) {
    const { name, index } = value;
    return { column: rows(value), name: neutral(name), ...(index && { index: rows(index) }) };
  }
  if (value instanceof Table) {
    const { columns, names, index } = value;
    return { table: columns.map(rows), names: names.map(name => neutral(name)), ...(index && { index: rows(index) }) };
  }
  if (seen.has(value)) return { again: seen.get(value) };
  seen.set(value, path);
  const within = (item, step) => neutral(item, [...path, step], seen);
  if (Array.isArray(value)) return value.map(within);
  if (value instanceof Set) return { set: Array.from(value, item => within(item, null)) };
  if (value instanceof NDArray) return array(value, within);
  const pairs = value instanceof Map ? [...value] : Object.entries(value);
  return { dict: pairs.map(([key, item]) => [within(key, null), within(item, typeof key === "object" ? null : key)]) };
}

const rows = column => Array.from(column, item => neutral(item));

function float(value) {
  if (Number.isFinite(value) && !Object.is(value, -0)) return value;
  return { float: Number.isNaN(value) ? "nan" : value === 0 ? "-0" : value > 0 ? "inf" : "-inf" };
}

function array(value, within) {
  const { shape } = value;
  if (value.dtype === "O") return { objects: Array.from(value, within), shape };
  return { array: hex(value.toContiguous().data), dtype: dtype(value.dtype), shape };
}

// Fields without what only Python knows of them.
function dtype(told) {
  if (typeof told === "string") return told;
  if (told.shape) return { dtype: dtype(told.dtype), shape: told.shape };
  const fields = told.fields.map(({ name, offset, dtype: of }) => ({ name, offset, dtype: dtype(of) }));
  return { itemsize: told.itemsize, fields };
}

function special(value, path, seen) {
  const { kind, v, zone, fold } = value;
  switch (kind) {
    case "complex": return { complex: [float(value.real), float(value.imag)] };
    case "datetime": case "time":
      return { [kind]: v, ...(fold && { fold }), ...(zone && { zone: neutral(zone) }) };
    case "timedelta": return { timedelta: [value.days, value.seconds, value.microseconds] };
    case "timezone": return { timezone: neutral(value.offset), ...(value.name !== undefined && { name: value.name }) };
    case "zoneinfo": return { zoneinfo: value.key };
    case "range": return { range: [value.start, value.stop, value.step].map(each => neutral(each)) };
    case "dtype": return { dtype: dtype(value.dtype) };
    case "datetime64": case "timedelta64":
      return { [kind]: neutral(value.count), unit: value.unit, ...(zone && { zone: neutral(zone) }) };
    case "masked":
      return { masked: neutral(value.data, path, seen), mask: neutral(value.mask, [...path, null], seen) };
    default: return { [kind]: v };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
}

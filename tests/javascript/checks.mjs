// What vectors cannot say of notebooks/javascript: node --test tests/javascript/checks.mjs

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CanningError, Column, NDArray, Special, Table, UnsupportedError, buffersOf, decode, framesOf, isBlob, pack, parse, read, readAll,
  readSync, sign, toBlob, unpack, write,
} from "../../notebooks/javascript/canning.js";

const numbers = Float64Array.from({ length: 300 }, (_, at) => at / 4);

test("large arrays are not copied, on either way", () => {
  const frames = write({ numbers });
  assert.equal(frames.length, 2);
  assert.equal(frames[1].buffer, numbers.buffer);
  assert.equal(readSync(frames).numbers.data.buffer, numbers.buffer);
});

test("arrays look at the memory of a blob, where they are aligned", () => {
  const blob = toBlob(write([numbers, new Uint8Array(70_000)]));
  const [array, bytes] = readSync(blob);
  assert.equal(array.data.buffer, blob.buffer);
  assert.equal(array.data.byteOffset % 64, 0);
  assert.equal(bytes.buffer, blob.buffer);
  array.data[1] = 77;
  assert.equal(readSync(blob)[0].get(1), 77);
});

test("arrays are copied where the memory is not aligned", () => {
  const blob = toBlob(write(numbers));
  const moved = new Uint8Array(blob.length + 1);
  moved.set(blob, 1);
  const array = readSync(moved.subarray(1));
  assert.notEqual(array.data.buffer, moved.buffer);
  assert.deepEqual(array.data, numbers);
});

test("a Buffer of Node and its parts are read as any bytes", () => {
  const blob = Buffer.from(toBlob(write([numbers, new Uint8Array(3)])));
  const [array, bytes] = readSync(blob);
  assert.deepEqual(array.data, numbers);
  assert.equal(bytes.constructor, Uint8Array);
});

test("strides reach the items of any layout", () => {
  const matrix = new NDArray(Int32Array.from({ length: 6 }, (_, at) => at), { shape: [2, 3], strides: [1, 2] });
  assert.deepEqual(matrix.toNested(), [[0, 2, 4], [1, 3, 5]]);
  assert.equal(matrix.get(1, 2), 5);
  assert.equal(matrix.contiguous, false);
  assert.deepEqual([...matrix.toContiguous().data], [0, 2, 4, 1, 3, 5]);
  assert.deepEqual(readSync(write(matrix)).toNested(), matrix.toNested());
  assert.throws(() => matrix.get(2, 0), RangeError);
  assert.throws(() => matrix.get(0), RangeError);
  assert.throws(() => new NDArray(new Int8Array(3), { shape: [4] }), RangeError);
});

test("64-bit integers are BigInt where numbers do not hold them", () => {
  const array = new NDArray(BigInt64Array.of(1n, 2n ** 53n - 1n, 2n ** 53n, -(2n ** 63n)));
  assert.deepEqual([...array], [1, 2 ** 53 - 1, 2n ** 53n, -(2n ** 63n)]);
  assert.deepEqual(readSync(write([1, 2n, 2n ** 64n, -(2n ** 70n)])), [1, 2, 2n ** 64n, -(2n ** 70n)]);
});

test("small floats are what ml_dtypes says", () => {
  const items = (dtype, ...bits) => [...new NDArray(Uint8Array.from(bits), { dtype })];
  assert.deepEqual(items("float8_e4m3fn", 0x00, 0x01, 0x38, 0x7e, 0xff), [0, 2 ** -9, 1, 448, NaN]);
  assert.deepEqual(items("float8_e5m2", 0x3c, 0x7b, 0x7c, 0xfc, 0x7d), [1, 57344, Infinity, -Infinity, NaN]);
  assert.deepEqual(items("float8_e4m3fnuz", 0x40, 0x7f, 0x80), [1, 240, NaN]);
  assert.deepEqual(items("float8_e8m0fnu", 127, 128, 255), [1, 2, NaN]);
  assert.deepEqual([...new NDArray(Uint16Array.of(0x3f80, 0xc000), { dtype: "bfloat16" })], [1, -2]);
  assert.deepEqual([...new NDArray(Uint16Array.of(0x3c00, 0x0001, 0x7c00), { dtype: "<f2" })], [1, 2 ** -24, Infinity]);
});

test("a tensor of bfloat16 is one of numbers", () => {
  const bits = new NDArray(Int16Array.of(0x3f80, 0x4040), { shape: [1, 2] });
  const fields = { values: bits, dtype: "bfloat16", requires_grad: false };
  const got = readSync(write(new Special("object", { type: "torch.Tensor", version: 1, fields })));
  assert.equal(got.dtype, "bfloat16");
  assert.deepEqual(got.toNested(), [[1, 3]]);
});

test("dates are instants in their zone", () => {
  const berlin = new Special("zoneinfo", { key: "Europe/Berlin" });
  const at = (v, more) => new Special("datetime", { v, ...more }).toDate().toISOString();
  assert.equal(at("2024-01-31T12:34:56.789012"), "2024-01-31T12:34:56.789Z");
  assert.equal(at("2024-01-31T12:00:00", { zone: berlin }), "2024-01-31T11:00:00.000Z");
  assert.equal(at("2024-07-01T12:00:00", { zone: berlin }), "2024-07-01T10:00:00.000Z");
  assert.equal(at("2024-10-27T02:30:00", { zone: berlin }), "2024-10-27T00:30:00.000Z");
  assert.equal(at("2024-10-27T02:30:00", { zone: berlin, fold: 1 }), "2024-10-27T01:30:00.000Z");
  assert.equal(at("2024-03-31T02:30:00", { zone: berlin }), "2024-03-31T01:30:00.000Z"); // in the gap, as Python has it
  assert.equal(at("2024-03-31T02:30:00", { zone: berlin, fold: 1 }), "2024-03-31T00:30:00.000Z");
  assert.equal(at("0001-01-01T00:00:00"), "0001-01-01T00:00:00.000Z");
  assert.equal(new Special("date", { v: "2024-02-29" }).toDate().getTime(), Date.UTC(2024, 1, 29));
  const counted = (count, unit) => new Special("datetime64", { count, unit }).toDate()?.toISOString();
  assert.equal(counted(54, "Y"), "2024-01-01T00:00:00.000Z");
  assert.equal(counted(-1, "M"), "1969-12-01T00:00:00.000Z");
  assert.equal(counted(-1, "us"), "1969-12-31T23:59:59.999Z");
  assert.equal(counted(null, "s"), undefined);
  assert.throws(() => new Special("uuid", { v: "" }).toDate(), TypeError);
});

test("a Date is written as an instant", () => {
  const date = new Date(Date.UTC(2024, 1, 29, 1, 2, 3, 4));
  const { v, zone } = readSync(write(date));
  assert.equal(v, "2024-02-29T01:02:03.004000");
  assert.equal(zone.offset.milliseconds, 0);
  assert.equal(readSync(write(date)).toDate().getTime(), date.getTime());
});

test("objects that are shared, or hold themselves, are so again", () => {
  const inner = { a: [1] };
  const loop = [inner, inner, new Map([[1, inner]])];
  loop.push(loop);
  const got = readSync(write(loop));
  assert.equal(got[0], got[1]);
  assert.equal(got[2].get(1), got[0]);
  assert.equal(got[3], got);
});

test("keys are what Python can hash", () => {
  const got = readSync(write(new Map([[[1, [2]], "tuple"], [new Set([3]), "frozenset"]])));
  assert.deepEqual([...got], [[[1, [2]], "tuple"], [new Set([3]), "frozenset"]]);
});

test("a key named __proto__ is an ordinary one", () => {
  const got = readSync(write(JSON.parse('{"__proto__": {"polluted": 1}}')));
  assert.deepEqual(Object.keys(got), ["__proto__"]);
  assert.equal(got.polluted, undefined);
});

test("tables have columns and rows", () => {
  const dates = [new Date(0), null];
  const table = Table.of({ x: Float32Array.of(1, 2), s: ["ö", null], t: dates, o: [true, 2] });
  const got = readSync(write(table));
  assert.equal(got.length, 2);
  assert.deepEqual(got.names, ["x", "s", "t", "o"]);
  assert.deepEqual(got.column("s").toArray(), ["ö", null]);
  assert.deepEqual(got.column("x").data, Float32Array.of(1, 2));
  assert.equal(got.column("s").data, null);
  assert.equal(got.column("t").get(0).toDate().getTime(), 0);
  assert.equal(got.column("t").get(1), null);
  assert.deepEqual(got.row(1), { x: 2, s: null, t: null, o: 2 });
  assert.throws(() => got.column("none"), { name: "RangeError", message: 'no column "none": there are "x", "s", "t", "o"' });
  assert.throws(() => Table.of({}).column(5), { name: "RangeError", message: "no column 5: there are none" });
  assert.throws(() => got.columns[0].get(2), RangeError);
  assert.throws(() => new Column({ kind: "nothing" }), UnsupportedError);
});

test("a message of Jupyter is packed and read again", async () => {
  const { content, buffers } = await pack({ numbers }, { content: { method: "update" } });
  assert.deepEqual(content, { method: "update", canning: 2 });
  const views = buffers.map(buffer => new DataView(buffer.slice().buffer)); // as the kernel's messages have them
  assert.deepEqual((await unpack(content, views)).numbers.data, numbers);
  await assert.rejects(unpack({}, views), CanningError);
  await assert.rejects(unpack({ canning: 2 }, views.slice(1)), CanningError);
});

test("what is signed is read with that key alone", async () => {
  const [key, other] = [new Uint8Array(16).fill(7), new Uint8Array(16)];
  const signed = await sign(write({ numbers }), key);
  assert.deepEqual((await read(signed, { key })).numbers.data, numbers);
  assert.deepEqual(readSync(signed).numbers.data, numbers);
  await assert.rejects(read(signed, { key: other }), /signature/);
  const chain = await sign([...write(1), ...write(2)], key);
  assert.deepEqual(await readAll(chain, { key }), [1, 2]);
  await assert.rejects(readAll(chain.slice(0, 1), { key }), /signature/);
});

test("codecs can be added", async () => {
  const zeros = new Float64Array(1000);
  const plain = parse(write(zeros));
  const message = { ...plain, codecs: new Map([[1, { codec: "mine", length: 8000 }]]) };
  message.frames = [plain.frames[0], Uint8Array.of(1, 20, 2, 0, 0, 0, 7, 7)];
  const decoded = await decode(message, { mine: (block, length) => new Uint8Array(length).fill(block.length) });
  assert.deepEqual(new Set(buffersOf(decoded)[0]), new Set([2]));
  await assert.rejects(decode(message), UnsupportedError);
  assert.throws(() => buffersOf(message), UnsupportedError);
});

test("messages behind each other are read one by one", async () => {
  const chain = [...write(1), ...write(numbers), ...write("last")];
  const [one, array, last] = await readAll(chain);
  assert.deepEqual([one, array.data, last], [1, numbers, "last"]);
  assert.throws(() => readSync(chain), CanningError);
});

test("a long header is added up", () => {
  const text = "größe ".repeat(20_000);
  const frames = write([text, 1]);
  assert.deepEqual(readSync(frames), [text, 1]);
  frames[0][9000] ^= 1;
  assert.throws(() => readSync(frames), /checksum/);
});

test("what cannot be written says so", () => {
  for (const value of [undefined, () => 1, Symbol("s"), new WeakMap(), [new (class Own {})()]]) {
    assert.throws(() => write(value), TypeError);
  }
  const set = new Set();
  set.add([set]);
  assert.throws(() => write(set), TypeError);
});

test("what cannot be written has a path", () => {
  const run = () => 1;
  const loop = new Set();
  loop.add([loop]);
  const rows = [
    [run, "value: a function cannot be written"],
    [{ jobs: [1, run] }, 'value["jobs"][1]: a function cannot be written'],
    [{ a: null, b: [undefined] }, 'value["b"][0]: undefined cannot be written: null can'],
    [new Map([[7, { deep: Symbol("s") }]]), 'value[7]["deep"]: a symbol cannot be written'],
    [new Map([[run, 1]]), "value.<key <function>>: a function cannot be written"],
    [[new Set([[run]])], "value[0].<item>[0]: a function cannot be written"],
    [{ t: Table.of({ x: [1, 2], y: ["a", run] }) }, 'value["t"].column("y")[1]: a function cannot be written'],
    [[new NDArray([1, [run]], { dtype: "O", shape: [2] })], "value[0][1][0]: a function cannot be written"],
    [{ zone: new Special("nothing", {}) }, 'value["zone"]: a nothing cannot be written'],
    [{ own: new (class Own {})() }, 'value["own"]: a Own cannot be written'],
    [[loop], "value[0]: only Arrays, Maps and plain objects can hold themselves, and not as keys"],
  ];
  for (const [value, message] of rows) assert.throws(() => write(value), { name: "TypeError", message });
});

test("what is no message is refused", async () => {
  assert.equal(isBlob(new Uint8Array(3)), false);
  assert.throws(() => framesOf(new Uint8Array(100)), CanningError);
  assert.throws(() => readSync([Uint8Array.of(0x80, 5, 0x4e, 0x2e)]), UnsupportedError);
  assert.throws(() => readSync([]), CanningError);
  assert.throws(() => readSync(["text"]), TypeError);
  await assert.rejects(read(write(1), { key: new Uint8Array(16) }), CanningError);
});

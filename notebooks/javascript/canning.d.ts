// Types of canning.js.

/** An ArrayBuffer, or any view of one. */
export type Memory = ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

/** A refused message: it is damaged, contradicts itself, or has a wrong signature. */
export class CanningError extends Error {}

/** A message that may be valid but cannot be read here: unknown codec or version, or not portable. */
export class UnsupportedError extends CanningError {}

/** Where a buffer is: `count` frames from frame `first` on; with `first` 0, in the inline data. */
export interface Entry {
  readonly first: number;
  readonly count: number;
  readonly offset: number;
  readonly length: number;
}

/** What the trailer of frame 0 says; it fits the frames. */
export interface Message {
  readonly version: number;
  readonly flags: ReadonlySet<string>;
  readonly writer: { readonly python: readonly number[]; readonly numpy: readonly number[] };
  /** The frames of this message, frame 0 among them. */
  readonly frames: readonly Uint8Array[];
  /** The frames that follow this message: those of the next one in a chain. */
  readonly rest: readonly Uint8Array[];
  readonly pickle: Uint8Array;
  readonly inline: Uint8Array;
  readonly lengths: readonly number[];
  readonly table: readonly Entry[] | null;
  readonly outside: number;
  readonly extensions: ReadonlyMap<number, Uint8Array>;
  readonly codecs: ReadonlyMap<number, { readonly codec: string; readonly length: number }>;
}

/** Gives the `length` bytes that a block was before it was compressed. */
export type Decompress = (block: Uint8Array, length: number) => Uint8Array | Promise<Uint8Array>;

/** Tell whether bytes are a blob, which `dump` and `dumps` write: all frames of a message in one. */
export function isBlob(source: Memory): boolean;

/** Cut a blob into its frames, which are views of its memory. */
export function framesOf(source: Memory): Uint8Array[];

/** Read and check the trailer of frame 0 and its statements about the other frames. Nothing is decoded. */
export function parse(frames: Iterable<Memory>): Message;

/** Return the memory of each buffer of a parsed message; only buffers in several frames are copied. */
export function buffersOf(message: Message): Uint8Array[];

/** Decode a parsed message. `codecs` adds functions `(block, length) => bytes`, by name, such as `zstd`. */
export function decode(message: Message, codecs?: Record<string, Decompress>): Promise<Message>;

/** Check the HMAC-SHA256 signature of a message before reading anything else; of a chain with `all`. */
export function verify(frames: Iterable<Memory>, key: Memory, options?: { all?: boolean }): Promise<void>;

// -- values

/** How a dtype is described: as numpy's `dtype.str`, by a name, or as a structure or an array within one. */
export type Dtype =
  | string
  | { readonly itemsize: number; readonly fields: readonly { readonly name: string; readonly offset: number; readonly dtype: Dtype }[] }
  | { readonly dtype: Dtype; readonly shape: readonly number[] };

export type TypedArray =
  | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array
  | BigInt64Array | BigUint64Array | Float32Array | Float64Array;

/** An array: typed memory with a shape. `strides` and `offset` count in elements of `data`. */
export class NDArray<Data extends TypedArray | unknown[] = TypedArray | unknown[]> implements Iterable<unknown> {
  constructor(data: Data, options?: { shape?: number[]; dtype?: Dtype; strides?: number[]; offset?: number });
  readonly data: Data;
  /** `"O"` for arrays of objects, whose `data` is an Array. */
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  /** The number of items. */
  get size(): number;
  /** The size of an item in bytes; 0 for arrays of objects. */
  get itemsize(): number;
  /** Whether items follow each other in C order, from the start of `data` to its end. */
  get contiguous(): boolean;
  /** Return one item as number, text or bytes; 64-bit integers are numbers if exact, else BigInt. */
  get(...indices: number[]): any;
  /** Go through all items in C order. */
  [Symbol.iterator](): Iterator<any>;
  /** Return the items as nested arrays of the array's shape; a single item if there are no dimensions. */
  toNested(): any;
  /** Return the array in C order: itself if it is in that order, else a copy. */
  toContiguous(): NDArray<Data>;
}

/**
 * A value with a `kind` and the members that the format defines for it: `date`, `datetime`, `time`,
 * `timedelta`, `timezone`, `zoneinfo`, `decimal`, `fraction`, `uuid`, `range`, `complex`, `dtype`, `datetime64`,
 * `timedelta64`, `masked`, `object`.
 */
export class Special {
  constructor(kind: string, members: Record<string, unknown>);
  readonly kind: string;
  readonly [member: string]: any;
  toString(): string;
  /** The Date of a date, datetime or datetime64; without a zone, UTC is assumed. Null if there is none. */
  toDate(): Date | null;
  /** The milliseconds of a timedelta or timedelta64. */
  get milliseconds(): number;
}

/** A column of a table, or an index, whatever its `kind`: `get(row)`, `length`, and all rows in a loop. */
export class Column implements Iterable<unknown> {
  constructor(fields: Record<string, unknown>, name?: unknown, index?: Column | null, type?: string);
  /** Of a column by itself: `"pandas.Series"`, `"pandas.Index"` or `"polars.Series"`. */
  readonly type: string;
  readonly kind: string;
  /** What the format gives a column of this kind: `values`, `mask`, `codes`, … */
  readonly fields: Record<string, any>;
  readonly name: unknown;
  readonly index: Column | null;
  readonly length: number;
  /** The memory of all rows as a typed array, for a column of numbers or times; null for other kinds. */
  get data(): TypedArray | null;
  /** The value of a row; null if it is missing. */
  get(row: number): any;
  [Symbol.iterator](): Iterator<any>;
  /** Return all values as an Array. */
  toArray(): any[];
}

/** A table: its columns in order, their names, and the index of its rows, if it has one. */
export class Table {
  constructor(type: string, fields: Record<string, unknown>);
  /** Make a table of columns by name: typed arrays, or Arrays of any values; null marks missing ones. */
  static of(columns: Record<string, TypedArray | NDArray | unknown[]>, type?: string): Table;
  /** `"pandas.DataFrame"`, `"polars.DataFrame"` or `"pyarrow.Table"`. */
  readonly type: string;
  readonly names: unknown[];
  readonly columns: Column[];
  index: Column | null;
  /** Fields that only the library of the type needs. */
  readonly others: Record<string, unknown>;
  /** The number of rows. */
  get length(): number;
  /** Return a column by its name; a `RangeError` lists the first names if there is none. */
  column(name: unknown): Column;
  /** Return a row as an object. */
  row(number: number): Record<string, any>;
}

// -- reading

/** A blob, or the frames of a message. */
export type Source = Memory | Memory[];

export interface ReadOptions {
  /** The key of the sender: what is not signed with it is refused. */
  key?: Memory;
  /** Codecs that are not known here, by name. */
  codecs?: Record<string, Decompress>;
}

/** Return the value of a parsed and decoded message. Arrays are views of its memory. */
export function valueOf(message: Message): any;

/** Read one message, a blob or its frames, that needs no codec and no key. Arrays are views of its memory. */
export function readSync(source: Source): any;

/** Read one message, a blob or its frames. With a `key` it must be signed; `codecs` is as for `decode`. */
export function read(source: Source, options?: ReadOptions): Promise<any>;

/** Read all messages of a chain, which `transport` sends under one signature. */
export function readAll(source: Source, options?: ReadOptions): Promise<any[]>;

/** Read a Jupyter message of `transport.engines.jupyter.pack`: its content (a comm's data) and its buffers. */
export function unpack(content: object, buffers: Memory[], options?: ReadOptions): Promise<any>;

// -- writing

/**
 * Write a portable message as frames; the memory of large arrays and bytes is not copied.
 * A `TypeError` has the path to what cannot be written, as in `value["jobs"][1]: a function cannot be written`.
 */
export function write(value: unknown): Uint8Array[];

/** Put frames into a blob, which `canning.loads` can read. */
export function toBlob(frames: Uint8Array[]): Uint8Array;

/** Sign the frames of a message or a chain, for readers with the same key; frame 0 is replaced. */
export function sign(frames: Iterable<Memory>, key: Memory): Promise<Uint8Array[]>;

/**
 * Make the content (a comm's data) and buffers of a Jupyter message, for `transport.engines.jupyter.unpack`.
 * `content` is the other content of the message; with a `key` the message is signed.
 */
export function pack(
  value: unknown,
  options?: { content?: object; key?: Memory },
): Promise<{ content: { canning: number }; buffers: Uint8Array[] }>;

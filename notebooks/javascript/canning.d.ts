// Types of canning.js.

/** An ArrayBuffer, or any view of one. */
export type Memory = ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

/** What is refused: a damaged message, one that contradicts itself, or a wrong signature. */
export class CanningError extends Error {}

/** What cannot be read here: a codec, a version, a message that is not portable. */
export class UnsupportedError extends CanningError {}

/** Where a buffer is: `count` frames from frame `first` on; with `first` 0, in the inline data. */
export interface Entry {
  readonly first: number;
  readonly count: number;
  readonly offset: number;
  readonly length: number;
}

/** What the trailer of frame 0 says, checked against the frames. */
export interface Message {
  readonly version: number;
  readonly flags: ReadonlySet<string>;
  readonly writer: { readonly python: readonly number[]; readonly numpy: readonly number[] };
  /** The frames of this message, frame 0 among them. */
  readonly frames: readonly Uint8Array[];
  /** The frames behind this message: those of the next one in a chain. */
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

/** Cut a blob into its frames; they look at its memory. */
export function framesOf(source: Memory): Uint8Array[];

/** Read and check the trailer of frame 0, and what it says of the frames behind it. */
export function parse(frames: Iterable<Memory>): Message;

/** Give the memory of each buffer, none of it copied but what is joined of several frames. */
export function buffersOf(message: Message): Uint8Array[];

/** Undo the codecs of a parsed message; `codecs` adds functions by name. */
export function decode(message: Message, codecs?: Record<string, Decompress>): Promise<Message>;

/** Check the signature of a message by HMAC-SHA256, before anything else of it is read; of `all` frames in a chain. */
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
  /** The bytes of an item; 0 for arrays of objects. */
  get itemsize(): number;
  /** Whether items follow each other in C order, from the start of `data` to its end. */
  get contiguous(): boolean;
  /** Give one item: a number, text, bytes; 64-bit integers are numbers where these hold them, else BigInt. */
  get(...indices: number[]): any;
  /** Go through all items in C order. */
  [Symbol.iterator](): Iterator<any>;
  /** Give the items as arrays within arrays, as deep as the shape; an item for no dimensions. */
  toNested(): any;
  /** Give the same array in C order: itself if it is, else a copy. */
  toContiguous(): NDArray<Data>;
}

/** A value that JavaScript has no type for, by its `kind`, with the members that the format gives it. */
export class Special {
  constructor(kind: string, members: Record<string, unknown>);
  readonly kind: string;
  readonly [member: string]: any;
  toString(): string;
  /** The Date of a date, datetime or datetime64; what has no zone is taken to be in UTC. Null where there is none. */
  toDate(): Date | null;
  /** The milliseconds of a timedelta or timedelta64. */
  get milliseconds(): number;
}

/** A column of a table, or an index, whatever its `kind`. */
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
  /** The memory of all rows as a typed array, of a column of numbers or times; null for other kinds. */
  get data(): TypedArray | null;
  /** The value of a row; null where it is missing. */
  get(row: number): any;
  [Symbol.iterator](): Iterator<any>;
  /** Give all values as an Array. */
  toArray(): any[];
}

/** A table: its columns in order, their names, and the index of its rows, if it has one. */
export class Table {
  constructor(type: string, fields: Record<string, unknown>);
  /** Make a table of columns by name: typed arrays, or Arrays of text, of Dates, or of anything, null where it is missing. */
  static of(columns: Record<string, TypedArray | NDArray | unknown[]>, type?: string): Table;
  /** `"pandas.DataFrame"`, `"polars.DataFrame"` or `"pyarrow.Table"`. */
  readonly type: string;
  readonly names: unknown[];
  readonly columns: Column[];
  index: Column | null;
  /** What only the library of the type needs. */
  readonly others: Record<string, unknown>;
  /** The number of rows. */
  get length(): number;
  /** Give a column by its name. */
  column(name: unknown): Column | undefined;
  /** Give a row as an object. */
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

/** Give the value of a parsed message whose codecs are undone. Arrays look at its memory. */
export function valueOf(message: Message): any;

/** Read one message, a blob or its frames, that needs no codec and no key. Arrays look at its memory. */
export function readSync(source: Source): any;

/** Read one message, a blob or its frames. */
export function read(source: Source, options?: ReadOptions): Promise<any>;

/** Read all messages of a chain, which `transport` sends and signs as a whole. */
export function readAll(source: Source, options?: ReadOptions): Promise<any[]>;

/** Read what `transport.engines.jupyter.pack` put into a message of Jupyter: its content (a comm's data) and its buffers. */
export function unpack(content: object, buffers: Memory[], options?: ReadOptions): Promise<any>;

// -- writing

/** Write a portable message: its frames, of which the memory of large arrays and bytes is not copied. */
export function write(value: unknown): Uint8Array[];

/** Put frames into a blob, as `canning.loads` reads it. */
export function toBlob(frames: Uint8Array[]): Uint8Array;

/** Sign frames, of one message or of a chain, so that a reader with the same key takes them. */
export function sign(frames: Iterable<Memory>, key: Memory): Promise<Uint8Array[]>;

/**
 * Make the content (a comm's data) and the buffers of a message of Jupyter, as `transport.engines.jupyter.unpack` reads them.
 * `content` is what else the message says; with a `key` it is signed.
 */
export function pack(
  value: unknown,
  options?: { content?: object; key?: Memory },
): Promise<{ content: { canning: number }; buffers: Uint8Array[] }>;

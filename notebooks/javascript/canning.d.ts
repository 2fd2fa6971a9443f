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

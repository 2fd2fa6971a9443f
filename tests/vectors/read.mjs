// The reader of notebooks/javascript as a command: python -m tests.vectors node tests/vectors/read.mjs

import { createInterface } from "node:readline";
import { UnsupportedError, CanningError, buffersOf, decode, framesOf, parse, verify } from "../../notebooks/javascript/canning.js";

const hex = bytes => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");

async function answer({ message, key }) {
  const answered = {};
  try {
    let frames = framesOf(Buffer.from(message, "base64"));
    if (key !== undefined) await verified(frames, Buffer.from(key, "hex"));
    const containers = [];
    while (frames.length) {
      const parsed = await decode(parse(frames));
      frames = parsed.rest;
      containers.push({
        frames: parsed.frames.length,
        flags: [...parsed.flags],
        extensions: [...parsed.extensions.keys()],
        outside: parsed.outside,
        buffers: buffersOf(parsed).map(hex),
      });
    }
    answered.containers = containers;
  } catch (error) {
    if (!(error instanceof CanningError)) throw error;
    answered[error instanceof UnsupportedError ? "unsupported" : "refused"] = error.message;
  }
  return answered;
}

// What transport sends is signed as a whole, what serialize_object makes an object at a time.
async function verified(frames, key) {
  await verify(frames, key, { all: true });
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
}

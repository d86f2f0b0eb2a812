/**
 * The program of the process that makes the system calls (`calling-process.ts`): it takes one message a
 * call from its standard input and answers each on its standard output; it ends when the input does. It is
 * a process of its own because a driver that hangs holds the thread that called it, and no process can end
 * while one of its threads is held. Nothing else goes on in it, so that it may wait for everything.
 */
import { readSync, writeSync } from 'node:fs';
import { Frames, frame } from './frames.js';
import { loadLibc } from './libc.js';
import type { Answer, Call } from './syscalls.js';

/** The first message: the calls can be made, or why not. */
export interface Ready {
  ready: boolean;
  why?: string;
}

const [INPUT, OUTPUT] = [0, 1];
const BLOCK = 1 << 16;

function send(message: Ready | Answer): void {
  const bytes = frame(message);
  for (let done = 0; done < bytes.length; ) done += writeSync(OUTPUT, bytes, done);
}

function serve(perform: (call: Call) => Answer): void {
  const frames = new Frames();
  const block = new Uint8Array(BLOCK);
  for (;;) {
    const size = readSync(INPUT, block);
    if (size === 0) return;
    for (const call of frames.take(block.subarray(0, size))) send(perform(call as Call));
  }
}

let perform: ((call: Call) => Answer) | undefined;
try {
  perform = await loadLibc();
} catch (error) {
  send({ ready: false, why: (error as Error).message });
}
if (perform !== undefined) {
  send({ ready: true });
  serve(perform);
}

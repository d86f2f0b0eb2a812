import { MAX_LINE } from '../lines.js';
import { CHUNK, MAX_NAME, MAX_RECORDS, PAD, RECORD, type ScanKernel } from './kernel.js';
import { SCAN_WASM } from './scan-wasm.js';

/** Places in the module's memory, as `scan.wat` has them. */
const NAMES = 16384;
const NAME_SIZE = 80;
const WANTED = 64;
const COUNT = 72;
const RECORDS = 180224;
const TEXT = 262144;

/** The parts of the WebAssembly interface that are used here; `@types/node` 20 has no types for it. */
interface Wasm {
  validate(bytes: Uint8Array): boolean;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: unknown };
}

interface Exports {
  memory: { buffer: ArrayBuffer };
  found: { value: number };
  lines: { value: number };
  names: { value: number };
  scan(from: number, to: number): number;
}

/** The compiled module; null where the runtime cannot run it. */
let module: object | null | undefined;

function compile(wasm: Wasm): object | null {
  const bytes = Buffer.from(SCAN_WASM, 'base64');
  return wasm.validate(bytes) ? new wasm.Module(bytes) : null;
}

/** The kernel in WebAssembly with SIMD. */
export class SimdKernel implements ScanKernel {
  readonly text: Buffer;
  readonly records: Int32Array;
  readonly #exports: Exports;
  readonly #view: DataView;

  /** Makes a kernel, or returns `undefined` where WebAssembly or SIMD is missing or switched off. */
  static create(): SimdKernel | undefined {
    const wasm = (globalThis as { WebAssembly?: Wasm }).WebAssembly;
    if (wasm === undefined) return undefined;
    module ??= compile(wasm);
    return module === null ? undefined : new SimdKernel(new wasm.Instance(module).exports as Exports);
  }

  private constructor(exports: Exports) {
    const { buffer } = exports.memory;
    this.#exports = exports;
    this.#view = new DataView(buffer);
    this.text = Buffer.from(buffer, TEXT, MAX_LINE + CHUNK + PAD);
    this.records = new Int32Array(buffer, RECORDS, MAX_RECORDS * RECORD);
  }

  get found(): number {
    return this.#exports.found.value;
  }

  get lines(): number {
    return this.#exports.lines.value;
  }

  get names(): number {
    return this.#exports.names.value;
  }

  scan(from: number, to: number): number {
    return this.#exports.scan(TEXT + from, TEXT + to) - TEXT;
  }

  want(name: number, wanted: boolean): void {
    this.#view.setInt32(this.#entry(name) + WANTED, wanted ? 1 : 0, true);
  }

  name(name: number): string {
    const bytes = Buffer.from(this.#view.buffer, this.#entry(name), MAX_NAME);
    return bytes.toString('latin1', 0, bytes.indexOf(0));
  }

  count(name: number): number {
    return Number(this.#view.getBigUint64(this.#entry(name) + COUNT, true));
  }

  #entry(name: number): number {
    return NAMES + name * NAME_SIZE;
  }
}

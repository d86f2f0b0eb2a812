/** Most processes, and most fds of one process, that are followed at a time. */
const PROCESS_LIMIT = 64;
const FD_LIMIT = 4096;

interface Process {
  /** Device fd → name of the device, where its opening was seen. */
  readonly names: Map<number, string>;
  /** data_fd → name of the device that returned it. */
  readonly owners: Map<number, string>;
}

/**
 * File descriptors of the recorded processes: how the device behind a device fd is called, and
 * which device each data_fd belongs to. Numbers are reused after a close.
 */
export class FdTable {
  readonly #processes = new Map<number, Process>();

  /** The name of the device behind a device fd: as it was opened, or else `fd N`. */
  device(pid: number, fd: number): string {
    return this.#processes.get(pid)?.names.get(fd) ?? `fd ${fd}`;
  }

  /** The device that a data_fd belongs to, or `undefined` when its SET was not seen. */
  owner(pid: number, fd: number): string | undefined {
    return this.#processes.get(pid)?.owners.get(fd);
  }

  opened(pid: number, fd: number, name: string): void {
    put(this.#process(pid).names, fd, name, FD_LIMIT);
  }

  dataFd(pid: number, fd: number, device: string): void {
    put(this.#process(pid).owners, fd, device, FD_LIMIT);
  }

  closed(pid: number, fd: number): void {
    this.#processes.get(pid)?.names.delete(fd);
  }

  dataClosed(pid: number, fd: number): void {
    this.#processes.get(pid)?.owners.delete(fd);
  }

  /** The process has ended; all that it had open is closed. */
  exited(pid: number): void {
    this.#processes.delete(pid);
  }

  #process(pid: number): Process {
    const process = this.#processes.get(pid) ?? { names: new Map(), owners: new Map() };
    if (!this.#processes.has(pid)) put(this.#processes, pid, process, PROCESS_LIMIT);
    return process;
  }
}

/** Sets an entry as the newest; the oldest makes room, so that no input can fill memory. */
export function put<K, V>(map: Map<K, V>, key: K, value: V, limit: number): void {
  map.delete(key);
  if (map.size >= limit) {
    const [oldest] = map.keys();
    map.delete(oldest as K);
  }
  map.set(key, value);
}

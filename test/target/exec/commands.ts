/** A command line for `node -e`, quoted for a shell. */
const node = (script: string, ...args: string[]): string =>
  ['exec', process.execPath, '-e', script, ...args].map(quote).join(' ').replace("'exec'", 'exec');

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export const HELLO = {
  version: 1,
  name: 'canned0',
  flags: 7,
  calls: ['reset', 'reopen', 'data_size', 'precopy_info', 'precopy_info_v2', 'dma_logging', 'read_region'],
};

/**
 * A target whose command answers each call with what stands here under its name: an object that follows
 * the id, or lines as they are. Requests come back on standard error.
 */
export function canned(answers: Record<string, object | readonly string[]>): string {
  const script = `
    const answers = JSON.parse(process.argv[1]);
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, call } = JSON.parse(line);
      console.error(line);
      const answer = answers[call] ?? { error: 'ENOSYS' };
      for (const each of Array.isArray(answer) ? answer : [JSON.stringify({ id, ...answer })]) console.log(each);
    });`;
  return `exec:${node(script, JSON.stringify({ hello: { ok: HELLO }, ...answers }))}`;
}

/** Deepest level that gets lines of its own; what is below stands on one line. */
const OPEN_LEVELS = 3;

/**
 * A value as JSON text in small chunks, so that a document of any size needs no string of its size.
 * The upper levels are indented, what is deeper stands on one line: readable, and good to grep.
 */
export function* jsonText(value: unknown): Generator<string> {
  yield* part(value, 0);
  yield '\n';
}

function* part(value: unknown, level: number): Generator<string> {
  if (level >= OPEN_LEVELS || typeof value !== 'object' || value === null) {
    yield JSON.stringify(value) ?? 'null';
  } else if (Array.isArray(value)) {
    yield* items(
      value.map((item) => ['', item] as const),
      '[',
      ']',
      level,
    );
  } else {
    const known = Object.entries(value).filter(([, item]) => item !== undefined);
    yield* items(
      known.map(([key, item]) => [`${JSON.stringify(key)}: `, item] as const),
      '{',
      '}',
      level,
    );
  }
}

function* items(
  entries: readonly (readonly [string, unknown])[],
  open: string,
  close: string,
  level: number,
): Generator<string> {
  yield open;
  const indent = `\n${'  '.repeat(level + 1)}`;
  for (const [index, [head, item]] of entries.entries()) {
    yield `${index > 0 ? ',' : ''}${indent}${head}`;
    yield* part(item, level + 1);
  }
  yield entries.length > 0 ? `\n${'  '.repeat(level)}${close}` : close;
}

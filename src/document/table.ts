/** Rows as text in columns that are as wide as their widest cell; the last column is not padded. */
export function table(rows: readonly (readonly string[])[], indent = '  ', gap = '  '): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  return rows.map((row) =>
    (indent + row.map((cell, index) => cell.padEnd(widths[index]!)).join(gap)).trimEnd(),
  );
}

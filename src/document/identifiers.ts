/**
 * Names as C takes them: what is no letter, digit or underscore becomes an underscore; two that would be equal then
 * are told apart by a number.
 */
export function identifiers(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const plain = name.replace(/[^A-Za-z0-9_]+/g, '_').replace(/^(?=\d|$)/, '_');
    let unique = plain;
    for (let number = 2; taken.has(unique); number++) unique = `${plain}_${number}`;
    taken.add(unique);
    return unique;
  });
}

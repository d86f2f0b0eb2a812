/** Text of a label in Mermaid: characters with a meaning become its entity codes. */
export function mermaidText(text: string): string {
  return text.replace(/["#;:<>{}\n]/g, (sign) => `#${sign.codePointAt(0)};`);
}

/** Text in quotes, as the DOT language of Graphviz takes it; a newline breaks the label. */
export function dotQuoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

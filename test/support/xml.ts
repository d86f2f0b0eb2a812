/** An element of a parsed document: enough XML for tests, and strict about what it knows. */
export interface Element {
  name: string;
  attributes: Record<string, string>;
  children: Element[];
  text: string;
}

const TOKEN =
  /<!--(?:(?!--)[\s\S])*-->|<\?[^?]*\?>|<\/([\w:.-]+)\s*>|<([\w:.-]+)((?:\s+[\w:.-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/gu;
const FORBIDDEN = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u;
const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Parses a document, or throws when it is not well-formed. */
export function parseXml(text: string): Element {
  if (FORBIDDEN.test(text)) throw new Error('a character that XML 1.0 forbids');
  const root: Element = { name: '', attributes: {}, children: [], text: '' };
  const open = [root];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index !== end) throw new Error(`not XML: ${text.slice(end, end + 80)}`);
    end = match.index + match[0].length;
    const [, closing, opening, attributes = '', empty, content] = match;
    if (content !== undefined) {
      if (content.includes(']]>')) throw new Error(']]> in content');
      open.at(-1)!.text += unescaped(content);
    } else if (closing !== undefined) {
      if (open.pop()!.name !== closing) throw new Error(`</${closing}> closes another element`);
    } else if (opening !== undefined) {
      const element: Element = {
        name: opening,
        attributes: parseAttributes(attributes),
        children: [],
        text: '',
      };
      open.at(-1)!.children.push(element);
      if (empty === '') open.push(element);
    }
  }
  if (end !== text.length || open.length !== 1 || root.children.length !== 1)
    throw new Error('not one element');
  return root.children[0]!;
}

/** All elements with this name below `element`. */
export function elements(element: Element, name: string): Element[] {
  return element.children.flatMap((child) => [
    ...(child.name === name ? [child] : []),
    ...elements(child, name),
  ]);
}

function parseAttributes(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/([\w:.-]+)="([^"]*)"/g)].map(
    ([, name, value]) => [name!, unescaped(value!)] as const,
  );
  if (new Set(pairs.map(([name]) => name)).size !== pairs.length) throw new Error(`attribute twice: ${text}`);
  return Object.fromEntries(pairs);
}

function unescaped(text: string): string {
  return text.replace(/&([^;]*);|&/g, (all, name: string | undefined) => {
    const code = /^#(\d+)$/.exec(name ?? '');
    if (code !== null) return String.fromCodePoint(Number(code[1]));
    const char = ENTITIES[name ?? ''];
    if (char === undefined) throw new Error(`unknown entity ${all}`);
    return char;
  });
}

/** Text that is HTML already. */
export class Html {
  constructor(readonly text: string) {}
}

export type Part = Html | string | number | null | undefined | false | readonly Part[];

/** HTML from a template: what is put in is escaped, unless it is HTML; lists are joined, and nothing is nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((text, index) => text + textOf(parts[index])).join(''));
}

function textOf(part: Part): string {
  if (part === null || part === undefined || part === false) return '';
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map((each) => textOf(each as Part)).join('');
  return escapeHtml(String(part));
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for HTML, in elements and in attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char]!);
}

/** The words of HTML, for search. */
export function wordsOf({ text }: Html): string {
  return text
    .replace(/<(script|style|svg)[\s\S]*?<\/\1>/g, ' ')
    .replace(/<[^>]+>/g, ' ')
    .replace(/&(amp|lt|gt|quot|#39);/g, (entity) => UNESCAPED[entity]!)
    .replace(/\s+/g, ' ')
    .trim();
}

const UNESCAPED = Object.fromEntries(Object.entries(ENTITIES).map(([char, entity]) => [entity, char]));

/** Something that is wider than a phone: it scrolls by itself, also by keyboard. */
export function scrolling(label: string, content: Html): Html {
  return html`<div class="wide" role="region" aria-label="${label}" tabindex="0">${content}</div>`;
}

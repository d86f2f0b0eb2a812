import { type Html, html, scrolling } from '../../text/html.js';
import * as kvm from '../../uapi/kvm-vm.js';
import * as stream from '../../uapi/qemu-stream.js';
import { type FieldType, type Struct, sizeOf } from '../../uapi/struct.js';
import * as vfio from '../../uapi/vfio-structs.js';
import * as vfioUserHeader from '../../uapi/vfio-user.js';
import * as vfioUserDevice from '../../uapi/vfio-user-device.js';
import * as vhost from '../../uapi/vhost.js';
import * as vhostUser from '../../uapi/vhost-user.js';
import * as virtchnl from '../../uapi/virtchnl-structs.js';
import * as virtio from '../../uapi/virtio.js';
import { byteLayout, type LayoutRow } from '../diagram/byte-layout.js';
import { linkTo, type Page } from './page.js';
import { STREAM_PARTS } from './stream-layouts.js';

/** A layout with its name, as a page shows it. */
export interface Layout {
  readonly name: string;
  readonly size: number;
  readonly rows: readonly LayoutRow[];
  /** What else is said of it. */
  readonly words?: string;
}

/** Layouts that belong together. */
export interface Format {
  /** Of its page, such as `vfio`. */
  readonly name: string;
  readonly title: string;
  readonly words: string;
  readonly layouts: readonly Layout[];
}

/** The formats whose layouts stand in `src/uapi`. */
export const UAPI_FORMATS: readonly Format[] = [
  {
    name: 'vfio',
    title: 'VFIO: include/uapi/linux/vfio.h',
    words: 'Structs of the migration uAPI, in host byte order.',
    layouts: structsOf(vfio),
  },
  {
    name: 'migration-stream',
    title: 'The migration stream of QEMU',
    words:
      'All integers are big endian. The stream begins with a magic and a version; sections follow, each with a type in its first byte. Multifd channels have packets, and a mapped-ram file a header for each block of RAM.',
    layouts: [...STREAM_PARTS, ...structsOf(stream)],
  },
  {
    name: 'vfio-user',
    title: 'vfio-user messages',
    words: 'A header, then the payload of its command. Host byte order.',
    layouts: [...structsOf(vfioUserHeader), ...structsOf(vfioUserDevice)],
  },
  {
    name: 'vhost-user',
    title: 'vhost-user messages',
    words: 'A header of 12 bytes, then the payload of its request. Host byte order.',
    layouts: structsOf(vhostUser),
  },
  {
    name: 'vhost',
    title: 'vhost and vDPA: include/uapi/linux/vhost.h',
    words: 'Structs of the ioctls, in host byte order.',
    layouts: structsOf(vhost),
  },
  {
    name: 'kvm',
    title: 'KVM: include/uapi/linux/kvm.h',
    words: 'Structs of the dirty log.',
    layouts: structsOf(kvm),
  },
  {
    name: 'virtio',
    title: 'Virtio rings and virtio-net',
    words: 'Little endian, as version 1 has it.',
    layouts: structsOf(virtio),
  },
  {
    name: 'virtchnl',
    title: 'virtchnl messages',
    words: 'What the driver of a VF and the PF say to each other, little endian.',
    layouts: structsOf(virtchnl),
  },
];

/** The layouts of a module, one of each name: a struct may stand by itself and as the element of another. */
function structsOf(module: Readonly<Record<string, unknown>>): Layout[] {
  const structs = Object.values(module).flatMap((value) =>
    isStruct(value) ? [value] : isFlexible(value) ? [value.head, value.element] : [],
  );
  return [...new Map(structs.map((each) => [each.name, layoutOf(each)])).values()];
}

type AnyStruct = Struct<Record<string, FieldType>>;

function isStruct(value: unknown): value is AnyStruct {
  return typeof value === 'object' && value !== null && 'offsets' in value && 'fields' in value;
}

function isFlexible(value: unknown): value is { head: AnyStruct; element: AnyStruct } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'head' in value &&
    'element' in value &&
    isStruct(value.head)
  );
}

function layoutOf({ name, fields, offsets, size }: AnyStruct): Layout {
  const entries = Object.entries(fields);
  return {
    name,
    size,
    rows: entries.map(([field, type]) => ({
      name: field,
      offset: offsets[field]!,
      size: sizeOf(type),
      type: typeof type === 'string' ? type : `u8[${type.bytes}]`,
    })),
  };
}

const formatPath = (name: string): string => `formats/${name}.html`;

/** A page for each format, and the list of them. */
export function formatPages(formats: readonly Format[]): Page[] {
  const path = 'formats/index.html';
  const list: Page = {
    path,
    title: 'Formats',
    section: 'Formats',
    body: html`<p>Bytes as they cross between kernel, VMM, device and host. The drawings are made from the layouts that the codecs
use.</p>
<ul>${formats.map(
      ({
        name,
        title,
        layouts,
      }) => html`<li><a href="${linkTo(path, formatPath(name))}">${title}</a> <small>${layouts.length} layouts</small></li>
`,
    )}</ul>`,
  };
  return [list, ...formats.map(formatPage)];
}

function formatPage({ name, title, words, layouts }: Format): Page {
  return {
    path: formatPath(name),
    title,
    section: 'Formats',
    body: html`<p class="lead">${words}</p>
<nav class="toc" aria-label="Layouts">${layouts.map((layout) => html`<a href="#${anchorOf(layout.name)}"><code>${layout.name}</code></a> `)}</nav>
${layouts.map(layoutSection)}`,
  };
}

function layoutSection({ name, size, rows, words }: Layout): Html {
  const meanings = rows.some(({ meaning }) => meaning !== undefined);
  return html`<section class="layout"><h2 id="${anchorOf(name)}"><code>${name}</code> <small>${size} bytes</small></h2>
${words === undefined ? '' : html`<p>${words}</p>`}
<figure>${scrolling(`Bytes of ${name}`, byteLayout(name, rows, size))}</figure>
${scrolling(
  `Fields of ${name}`,
  html`<table><thead><tr><th scope="col">offset</th><th scope="col">bytes</th><th scope="col">field</th><th scope="col">type</th>${meanings ? html`<th scope="col">meaning</th>` : ''}</tr></thead><tbody>
${rows.map(
  (
    row,
  ) => html`<tr><td class="number">${row.offset}</td><td class="number">${row.size}</td><td><code>${row.name}</code></td><td>${row.type}</td>${meanings ? html`<td>${row.meaning ?? ''}</td>` : ''}</tr>
`,
)}</tbody></table>`,
)}</section>`;
}

/** A name as a place on its page: names of structs stay as they are. */
const anchorOf = (name: string): string => name.replace(/\W+/g, '-');

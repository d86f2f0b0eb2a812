import {
  B_RECORD_FIELDS,
  fieldSize,
  IMAGE_A_FIELDS,
  IMAGE_B_RECORDS,
  type LayoutField,
  layoutSize,
  typeName,
} from 'stopcopy/devices';
import type { Format, Layout } from '../../document/book/index.js';

/** The device states of the mock E810 VF, in both published generations. */
export function imageFormats(): Format[] {
  return [
    {
      name: 'e810-image-a',
      title: 'E810 VF state, generation A',
      words:
        'The struct with the head of the image, without gaps; slots with the messages of the guest driver follow it, and a terminator.',
      layouts: [layoutOf('image A', IMAGE_A_FIELDS)],
    },
    {
      name: 'e810-image-b',
      title: 'E810 VF state, generation B',
      words: 'Records of type and length, each padded to 4 bytes; what is drawn is the data of each type.',
      layouts: [
        layoutOf('record', B_RECORD_FIELDS),
        ...IMAGE_B_RECORDS.filter(({ fields }) => fields.length > 0).map(
          ({ name, type, fields, count, tail }) => ({
            ...layoutOf(name, fields),
            words: `Type ${type}; in an image: ${count}.${tail === null ? '' : ` Behind the fields: ${tail.name}, as many as ${tail.countedBy} says.`}`,
          }),
        ),
      ],
    },
  ];
}

function layoutOf(name: string, fields: readonly LayoutField[]): Layout {
  return {
    name,
    size: layoutSize(fields),
    rows: fields.map((field) => ({
      name: field.name,
      offset: field.offset,
      size: fieldSize(field),
      type: typeName(field),
      meaning: field.certainty === 'read' ? field.meaning : `${field.meaning} (${field.certainty})`,
    })),
  };
}

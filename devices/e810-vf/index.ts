/** The device states of an E810 VF, in both published generations. */
export * from './image-a.js';
export * from './image-a-layout.js';
export * from './image-b.js';
export * from './image-b-layout.js';
export * from './image-error.js';
export {
  type Certainty,
  describeFields,
  type FieldValue,
  fieldSize,
  type ImageRow,
  type LayoutField,
  type LayoutValue,
  layoutSize,
  typeName,
} from './layout.js';

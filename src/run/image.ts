export { IMAGE_CASE, imageCase } from '../suite/index.js';

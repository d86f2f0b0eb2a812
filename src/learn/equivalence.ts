import { type CompleteMethod, completeSuite, drawFrom, type Mealy, type Word } from '../automaton/index.js';
import { plural } from '../text/words.js';

/** How a hypothesis is examined. */
export interface ExamineOptions {
  /** Words of a complete suite; default `hsi`. */
  readonly method?: CompleteMethod;
  /** How many states more than were found the device may have for its machine to be right; default 1. */
  readonly extraStates?: number;
  /** Random words beside, and inputs in each; default 5 of 30. */
  readonly walks?: number;
  readonly walkLength?: number;
  /** Of the random words; default 1. */
  readonly seed?: number;
}

/** Words to put to a device, and what is known of one that answers all of them as the hypothesis does. */
export interface Examination {
  readonly words: readonly Word[];
  readonly guarantee: string;
}

/**
 * The words that examine a hypothesis: random ones first, which find most errors soonest, and a complete
 * suite. Inputs are numbers of the machine's.
 * @param status name of the status input, which stands behind all others
 * @throws RangeError when the suite would have more than a million words
 */
export function examination(
  machine: Mealy,
  status: string | null,
  options: ExamineOptions = {},
): Examination {
  const { method = 'hsi', extraStates = 1, walks = 5, walkLength = 30, seed = 1 } = options;
  const suite = completeSuite(machine, { method, extraStates, ...(status === null ? {} : { status }) });
  const inputs = machine.inputs.length - (status === null ? 0 : 1);
  const draw = drawFrom(seed);
  const random = Array.from({ length: walks }, () => Array.from({ length: walkLength }, () => draw(inputs)));
  return {
    words: [...random, ...suite.words],
    guarantee: guaranteeOf(machine, extraStates, walks, walkLength),
  };
}

function guaranteeOf({ states }: Mealy, extraStates: number, walks: number, walkLength: number): string {
  const found = states.length;
  const most = plural(found + extraStates, 'state');
  const more = extraStates === 0 ? '' : `, and ${plural(extraStates, 'hidden one')} would have shown`;
  const random = walks === 0 ? '' : `; ${plural(walks, 'random word')} of ${walkLength} inputs agree`;
  return `exact for a device with at most ${most}: ${found} ${found === 1 ? 'was' : 'were'} found${more}${random}`;
}

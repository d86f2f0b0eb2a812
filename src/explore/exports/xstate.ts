import { dataMachine, type Machine } from '../../machines/index.js';
import { initialState, step } from '../interpret.js';
import type { Model } from '../model.js';

/**
 * A model as one XState machine: its state is the context, each action is an event of the same name. It is
 * for `xstate/graph` and other tools of XState, whose own exploration is then one more opinion on models of up
 * to some 10,000 states. Of its edges only those count whose event is enabled: XState has the others as loops.
 */
export function toXState(model: Model): Machine {
  return dataMachine(
    model.name,
    { ...initialState(model) },
    model.actions.map((action) => ({
      name: action.name,
      step: (data) => {
        const to = step(model, data, action);
        return to === null ? null : { ...to };
      },
    })),
  );
}

import { mermaidText } from '../../text/diagram.js';
import type { Model } from '../model.js';
import type { Path } from '../result.js';
import { actionsOf, lanesOf } from './lanes.js';

/** A run as a Mermaid `sequenceDiagram`. */
export function chartMermaid(model: Model, path: Path): string[] {
  const actions = actionsOf(model, path);
  const lanes = lanesOf(actions);
  const id = (lane: string): string => `p${lanes.indexOf(lane)}`;
  const steps = actions.flatMap(({ chart: { from, to, text } }, index) => [
    ...(index === path.loop ? ['  loop without end'] : []),
    to === undefined || to === from
      ? `  Note over ${id(from)}: ${mermaidText(text)}`
      : `  ${id(from)}->>${id(to)}: ${mermaidText(text)}`,
  ]);
  return [
    'sequenceDiagram',
    '  autonumber',
    ...lanes.map((lane) => `  participant ${id(lane)} as ${mermaidText(lane)}`),
    ...steps,
    ...(path.loop === null || path.loop === actions.length ? [] : ['  end']),
  ];
}

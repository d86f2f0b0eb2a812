import type { MigrateReport, Progress } from '../../migrate/report.js';
import type { Prerequisite } from '../../migrate/requirements.js';
import type { DestinationResult } from '../../migrate/run-destination.js';
import type { Side } from './machine.js';

/** What one side tells whoever has started it, as the process goes. */
export type SideMessage =
  | { readonly kind: 'listening'; readonly uri: string }
  /** Nobody listens at the URI yet; the source tries for so many milliseconds. */
  | { readonly kind: 'waiting'; readonly uri: string; readonly milliseconds: number }
  | { readonly kind: 'prerequisites'; readonly list: readonly Prerequisite[] }
  | { readonly kind: 'status'; readonly side: Side; readonly status: string }
  /** vCPUs have started or stopped; `t` in microseconds of the machine's clock. */
  | { readonly kind: 'running'; readonly side: Side; readonly running: boolean; readonly t: number }
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'report'; readonly report: MigrateReport }
  | { readonly kind: 'destination'; readonly result: DestinationSummary }
  | { readonly kind: 'error'; readonly message: string };

/** The part of a destination's result that other processes can have. */
export type DestinationSummary = Pick<
  DestinationResult,
  'outcome' | 'error' | 'running' | 'prerequisites' | 'report'
>;

/** Takes the messages of a side. */
export type Tell = (message: SideMessage) => void;

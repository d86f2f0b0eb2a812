/** Capabilities of a migration, as QMP `migrate-set-capabilities` spells them. */
export const CAPABILITY_NAMES = [
  'auto-converge',
  'multifd',
  'pause-before-switchover',
  'postcopy-ram',
  'return-path',
  'switchover-ack',
] as const;
export type CapabilityName = (typeof CAPABILITY_NAMES)[number];

/** Parameters of a migration, as QMP `migrate-set-parameters` spells them. */
export interface MigrationParameters {
  readonly capabilities: ReadonlySet<CapabilityName>;
  /** Longest downtime that is aimed at, in milliseconds. */
  readonly downtimeLimit: number;
  /** Bytes per second; 0: as fast as the channel takes them. */
  readonly maxBandwidth: number;
  /** Bytes per second that a switchover may count with; 0: what was measured. */
  readonly availSwitchoverBandwidth: number;
  readonly multifdChannels: number;
  /** How long the source waits for an answer of the destination, in milliseconds. */
  readonly answerTimeout: number;
  /** Post-copy begins when the bitmap was walked so often. */
  readonly postcopyAfterRounds: number;
}

/** QEMU's defaults, where it has them. */
export const DEFAULT_PARAMETERS: MigrationParameters = {
  capabilities: new Set(['return-path']),
  downtimeLimit: 300,
  maxBandwidth: 0,
  availSwitchoverBandwidth: 0,
  multifdChannels: 2,
  answerTimeout: 30_000,
  postcopyAfterRounds: 1,
};

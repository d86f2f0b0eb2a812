import type { GuestMemory } from 'stopcopy/migrate';
import type { Traffic } from '../traffic.js';
import type { Registers } from './mailbox.js';
import type { RamLayout } from './ram-layout.js';
import type { Stamps } from './stamps.js';

/** What Tx and Rx rings of a driver work with. */
export interface RingContext {
  readonly memory: GuestMemory;
  readonly registers: Registers;
  readonly layout: RamLayout;
  readonly stamps: Stamps;
  readonly traffic: Traffic;
  /** Runs of the driver after which it complains that nothing goes on. */
  readonly patience: number;
}

/** Offset of an element of a register array. */
export const registerAt = (
  array: { readonly offset: number; readonly stride: number },
  index: number,
): number => array.offset + index * array.stride;

import {
  E810_RX_FLEX as FLEX,
  E810RxFlexWriteback as Flex,
  E810_RX_LEGACY as LEGACY,
  E810RxLegacyWriteback as Legacy,
  VIRTCHNL_RXDID,
} from 'stopcopy/uapi';

/** The two halves of `status_error_len`: the hot path has no bigint. */
const STATUS = Legacy.offsets.status_error_len;
const PTYPE_SHIFT = Number(LEGACY.PTYPE_SHIFT);
const LENGTH_SHIFT_HIGH = Number(LEGACY.LENGTH_SHIFT) - 32;

/** Makes the 32 bytes that the device writes over an Rx descriptor. They are valid until the next call. */
export class RxWriteback {
  readonly #bytes = new Uint8Array(Legacy.size);
  readonly #view = new DataView(this.#bytes.buffer);

  /**
   * RXDID 1.
   * @param length bytes in the buffer
   * @param last end of the frame: hash and tag are told
   * @param tag TCI that was taken out of the frame, or -1
   */
  legacy(length: number, ptype: number, last: boolean, hash: number, tag: number): Uint8Array {
    const view = this.#view;
    this.#bytes.fill(0);
    let low: number = LEGACY.DD;
    if (last) {
      low |= LEGACY.EOF;
      view.setUint32(Legacy.offsets.rss, hash, true);
      if (hash !== 0) low |= LEGACY.FLTSTAT_RSS_HASH;
      if (tag >= 0) {
        low |= LEGACY.L2TAG1P;
        view.setUint16(Legacy.offsets.l2tag1, tag, true);
      }
    }
    // The packet type lies across the two halves.
    view.setUint32(STATUS, low | (ptype << PTYPE_SHIFT), true);
    view.setUint32(STATUS + 4, (ptype >>> (32 - PTYPE_SHIFT)) | (length << LENGTH_SHIFT_HIGH), true);
    return this.#bytes;
  }

  /** RXDID 2; otherwise as `legacy`. */
  flex(length: number, ptype: number, last: boolean, hash: number, tag: number): Uint8Array {
    const { offsets } = Flex;
    const view = this.#view;
    this.#bytes.fill(0);
    let status: number = FLEX.STATUS0.DD;
    view.setUint8(offsets.rxdid, VIRTCHNL_RXDID.FLEX_NIC);
    view.setUint16(offsets.ptype_flexi_flags0, ptype & FLEX.PTYPE_MASK, true);
    view.setUint16(offsets.pkt_len, length & FLEX.LENGTH_MASK, true);
    if (last) {
      status |= FLEX.STATUS0.EOF;
      view.setUint32(offsets.rss_hash, hash, true);
      if (hash !== 0) status |= FLEX.STATUS0.RSS_VALID;
      if (tag >= 0) {
        status |= FLEX.STATUS0.L2TAG1P;
        view.setUint16(offsets.l2tag1, tag, true);
      }
    }
    view.setUint16(offsets.status_error0, status, true);
    return this.#bytes;
  }
}

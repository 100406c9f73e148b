/**
 * Which worker waits for an outcome, told by the audit id alone: the last byte of an id that a worker gives is its slot. An outcome reaches whichever worker hears the datagram, and what it
 * completes stands in the memory of the one that allowed it. Of the 74 random bits of a UUIDv7 66 are left, which is plenty for ids that also hold their millisecond.
 */

/** The same id, as one that the worker in `slot` gave. */
export function ownedBy(auditId: string, slot: number): string {
  return auditId.slice(0, -2) + slot.toString(16).padStart(2, '0');
}

/** Among `count` workers; undefined where it can be none of them. */
export function ownerOf(auditId: string | undefined, count: number): number | undefined {
  const slot = auditId === undefined ? Number.NaN : Number.parseInt(auditId.slice(-2), 16);
  return slot >= 1 && slot <= count ? slot : undefined;
}

/** Ends of what begins with `prefix`, for ZRANGEBYLEX. */
export function behindAll(prefix: string): string {
  const last = prefix.length - 1
  return last < 0 ? '+' : `(${prefix.slice(0, last)}${String.fromCodePoint(prefix.charCodeAt(last) + 1)}`
}

/** Behind `after`, where '' is the beginning. */
export function beginning(prefix: string, after: string): string {
  return after === '' ? `[${prefix}` : `(${after}`
}

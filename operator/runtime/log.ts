/**
 * What the runtime needs of a logger; a pino Logger is one. Fields never hold an object's spec, a Secret, a
 * token or a request body: names, codes, counts and messages only.
 */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** An error as log fields. Anything but its name, code and message may quote a request, so it stays out. */
export function errorFields(error: unknown): { error: string; code?: string } {
  if (!(error instanceof Error)) return { error: typeof error }
  const fields = { error: `${error.name}: ${error.message}` }
  return 'code' in error && typeof error.code === 'string' ? { ...fields, code: error.code } : fields
}

/**
 * Every error that crosses a part of the product. Clients see `code`; logs see `message` and `cause`.
 *
 * - `invalid-settings`   the environment or the command line; `problems` lists all of them
 * - `invalid-resource`   a manifest; `problems` lists all of them
 * - `store-unavailable`  Redis did not answer, or answered with an error: nothing is known
 * - `store-not-ready`    Redis answers, but the operator has not written its records yet
 * - `record-damaged`     what the store holds is no record of that type
 * - `secret-sealed`      a secret was sealed under a key that this program does not have
 * - `superseded`         another operator leads by now: this one must not write; `cause` is the other's term
 * - `credential-exists`  the username of a temporary credential is taken
 * - `judge-changed`      the provider or the API key that vouches for an identity is another by now, or gone
 * - `behind-barrier`     the proof of an identity is older than a revocation
 * - `short-id-taken`     another Organization holds the short id
 * - `crds-outdated`      the kinds that the cluster knows are older than the operator
 * - `port-in-use`        a listener could not be opened
 */
export type DomainErrorCode =
  | 'invalid-settings'
  | 'invalid-resource'
  | 'store-unavailable'
  | 'store-not-ready'
  | 'record-damaged'
  | 'secret-sealed'
  | 'superseded'
  | 'credential-exists'
  | 'judge-changed'
  | 'behind-barrier'
  | 'short-id-taken'
  | 'crds-outdated'
  | 'port-in-use'

/** One thing wrong with something a person wrote: where, what stands there, what to do. */
export interface Problem {
  /** Name of the setting, or path of the field such as `spec.rules[0].topics[1]`. */
  readonly field: string
  /** What was found there; never a secret. Absent when nothing was. */
  readonly value?: unknown
  /** What would be right, as an instruction. */
  readonly remedy: string
}

export class DomainError extends Error {
  readonly code: DomainErrorCode
  readonly problems: readonly Problem[]

  constructor(
    code: DomainErrorCode,
    message: string,
    options: { cause?: unknown; problems?: readonly Problem[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'DomainError'
    this.code = code
    this.problems = options.problems ?? []
  }
}

/** A problem as one line: `CLOUDSIGNAL_HTTP_PORT=abc: give a port number between 0 and 65535`. */
export function describeProblem(problem: Problem): string {
  const found = problem.value === undefined ? '' : `=${shorten(JSON.stringify(problem.value) ?? 'undefined')}`
  return `${problem.field}${found}: ${problem.remedy}`
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}

export function isDomainError(error: unknown, code?: DomainErrorCode): error is DomainError {
  return error instanceof DomainError && (code === undefined || error.code === code)
}

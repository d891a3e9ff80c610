import type { TSchema } from 'typebox'
import type { ProblemCode, ProblemOptions } from '../problems.ts'
import type { TokenFailure } from '../verifier/token-refused.ts'

/** A problem as the caller may hear of it. */
export interface Answerable extends Pick<ProblemOptions, 'detail' | 'errors'> {
  readonly code: ProblemCode
  /** Why the verifier refused a token; faces that tell it to nobody pass it over. */
  readonly failure?: TokenFailure
}

/** One of the ways in which the service speaks. All of them stand on one core; they differ in words. */
export interface Face {
  readonly name: string
  readonly mediaType: string
  /** Of the body of a problem. */
  readonly schema: TSchema
  /** What is answered; the headers of the problem itself, such as Retry-After, come with every face. */
  say(problem: Answerable): Said
}

export interface Said {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: object
}

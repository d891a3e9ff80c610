import { setTimeout as pause } from 'node:timers/promises'
import type { DemoClient } from './demo-client.ts'
import type { Answer, Stage } from './stage.ts'

/** One step of the story. It holds when it returns; what it throws says why it did not. */
export interface Step<S = Stage> {
  readonly title: string
  readonly run: (stage: S, tell: Tell) => Promise<void>
}

/** What a step shows the reader. */
export interface Tell {
  /** Something that had to work, and did. */
  did(what: string): void
  /** Something that had to be refused, and was. */
  refused(what: string, why: string): void
}

export function must(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

/** Waits until it holds. */
export async function soon(holds: () => boolean, otherwise: string, timeoutMs = 5_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!holds()) {
    must(performance.now() < end, otherwise)
    await pause(5)
  }
}

/** Resolves with why it was refused; rejects when it was not, or for another reason than `because`. */
export async function refusalOf(
  attempt: Promise<unknown>,
  because: RegExp,
  otherwise: string,
): Promise<string> {
  const reason = await attempt.then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  must(reason !== undefined, otherwise)
  must(because.test(reason), `refused, but for another reason: ${reason}`)
  return reason
}

/** What clients are told of an unknown user and of a wrong password alike. */
export const badCredential = /^Connection refused: Bad user ?name or password$/i
export const notAuthorized = /Not authorized$/

/** As `refusalOf`, of an HTTP answer. */
export function refusalIn(answer: Answer, status: number, code: string, otherwise: string): string {
  const found = `${answer.status} ${answer.code ?? ''}`
  must(found === `${status} ${code}`, `${otherwise} (${found})`)
  return found
}

/** Long enough for a message that should not come to have come. */
export async function neverReceives(client: DemoClient, text: string, otherwise: string): Promise<void> {
  await pause(150)
  must(!client.hasReceived(text), otherwise)
}

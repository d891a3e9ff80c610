import type { ProbeAnswer } from '#core/process/probe-server.ts'

/** From the supervisor to a worker. */
export type ToWorker = { readonly ask: string; readonly id: number } | { readonly end: true }

/** From a worker to the supervisor. */
export type FromWorker = { readonly id: number; readonly answer: ProbeAnswer } | { readonly isReady: true }

/** Which of several workers this process is, from 1 on; undefined when it is none. */
export function workerNumber(parameters: readonly string[]): number | undefined {
  const [word, number] = parameters
  return word === 'worker' && /^\d+$/.test(number ?? '') ? Number(number) : undefined
}

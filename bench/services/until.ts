import { setTimeout as pause } from 'node:timers/promises'

/** Asks again and again; fails with `what` once it took too long. */
export async function until(what: string, check: () => Promise<boolean>, timeoutMs = 600_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`did not happen within ${timeoutMs / 1000} s: ${what}`)
    await pause(5)
  }
}

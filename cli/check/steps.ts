/** One thing that has to work. It rejects with what does not. */
export interface Step {
  readonly what: string
  run(): Promise<void>
}

/** Runs them in order, up to the first that fails, and prints each as it ends. */
export async function runSteps(steps: readonly Step[], print: (text: string) => void): Promise<boolean> {
  for (const { what, run } of steps) {
    const began = performance.now()
    const failure = await run().then(
      () => undefined,
      (error: Error) => error.message,
    )
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    print(`${failure === undefined ? 'ok     ' : 'FAILED '} ${what} (${seconds} s)`)
    if (failure === undefined) continue
    print(`        ${failure.replaceAll('\n', '\n        ')}`)
    return false
  }
  return true
}

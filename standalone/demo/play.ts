import { styleText } from 'node:util'
import type { Step, Tell } from './step.ts'

/** Runs the steps in order and shows them. Resolves with whether every one held; the first that does not ends it. */
export async function play<S>(
  steps: readonly Step<S>[],
  stage: S,
  print: (line: string) => void,
): Promise<boolean> {
  const tell: Tell = {
    did: (what) => print(`   ${styleText('green', '✓')} ${what}`),
    refused: (what, why) =>
      print(`   ${styleText('green', '✓')} refused: ${what}\n     ${styleText('dim', why)}`),
  }
  for (const [index, step] of steps.entries()) {
    print(`\n${styleText('bold', `${index + 1}. ${step.title}`)}`)
    try {
      await step.run(stage, tell)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      print(`   ${styleText('red', '✗')} ${reason}`)
      print(`\n${styleText('red', `Step ${index + 1} of ${steps.length} failed: ${step.title}`)}`)
      return false
    }
  }
  return true
}

import { styleText } from 'node:util'
import { deletionStep, expiryStep, revocationStep } from './demo/endings.ts'
import { connectStep, exchangeStep, manifestsStep } from './demo/signing-in.ts'
import { Stage } from './demo/stage.ts'
import type { Step, Tell } from './demo/step.ts'
import { accessStep, isolationStep, permanentUserStep } from './demo/talking.ts'

/** The story, in order. Each step stands by itself but for what is deleted in the last one. */
const steps: readonly Step[] = [
  manifestsStep,
  exchangeStep,
  connectStep,
  accessStep,
  permanentUserStep,
  isolationStep,
  expiryStep,
  revocationStep,
  deletionStep,
]

const tell: Tell = {
  did: (what) => console.log(`   ${styleText('green', '✓')} ${what}`),
  refused: (what, why) =>
    console.log(`   ${styleText('green', '✓')} refused: ${what}\n     ${styleText('dim', why)}`),
}

const started = performance.now()
console.log(styleText('bold', 'CloudSignal: token in, MQTT out'))
console.log('A fresh standalone on free ports: no Redis, no cluster. What is refused is half of the story.')
process.exitCode = (await play()) ? 0 : 1

async function play(): Promise<boolean> {
  const stage = await Stage.set()
  try {
    for (const [index, step] of steps.entries()) {
      console.log(`\n${styleText('bold', `${index + 1}. ${step.title}`)}`)
      try {
        await step.run(stage, tell)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        console.log(`   ${styleText('red', '✗')} ${reason}`)
        console.log(`\n${styleText('red', `Step ${index + 1} of ${steps.length} failed: ${step.title}`)}`)
        return false
      }
    }
  } finally {
    await stage.strike()
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`\n${styleText('green', `All ${steps.length} steps held`)}, in ${seconds} s.`)
  console.log('Your turn: npm start')
  return true
}

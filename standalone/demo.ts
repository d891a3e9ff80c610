import { styleText } from 'node:util'
import { deletionStep, expiryStep, revocationStep } from './demo/endings.ts'
import { play } from './demo/play.ts'
import { connectStep, exchangeStep, manifestsStep } from './demo/signing-in.ts'
import { Stage } from './demo/stage.ts'
import { accessStep, isolationStep, permanentUserStep } from './demo/talking.ts'

/** The story, in order. Each step stands by itself but for the user that the last one deletes. */
const steps = [
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

const started = performance.now()
const print = (line: string): void => console.log(line)
print(styleText('bold', 'CloudSignal: token in, MQTT out'))
print('A fresh standalone on free ports: no Redis, no cluster. What is refused is half of the story.')

const stage = await Stage.set()
try {
  if (await play(steps, stage, print)) {
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    print(`\n${styleText('green', `All ${steps.length} steps held`)}, in ${seconds} s.`)
    print('Your turn: npm start')
  } else process.exitCode = 1
} finally {
  await stage.strike()
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { play } from '../../standalone/demo/play.ts'
import type { Step } from '../../standalone/demo/step.ts'

async function runDemo(): Promise<{ code: number | null; output: string; seconds: number }> {
  const started = performance.now()
  const child = spawn(process.execPath, ['standalone/demo.ts'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code] = (await once(child, 'exit')) as [number | null]
  return { code, output, seconds: (performance.now() - started) / 1000 }
}

async function played(...steps: readonly Step<null>[]): Promise<{ held: boolean; output: string }> {
  const lines: string[] = []
  const held = await play(steps, null, (line) => void lines.push(line))
  return { held, output: lines.join('\n') }
}

const holds: Step<null> = { title: 'This holds', run: async (_stage, tell) => tell.did('something') }
const fails: Step<null> = {
  title: 'This does not',
  run: async () => {
    throw new Error('the wall has a hole')
  },
}

describe('the demo', () => {
  it('holds in every step, within 30 seconds, and exits with 0', { timeout: 60_000 }, async () => {
    const { code, output, seconds } = await runDemo()
    expect(output).toMatch(/All 9 steps held/)
    expect(output).not.toContain('✗')
    expect(code).toBe(0)
    expect(seconds).toBeLessThan(30)
  })

  it('shows steps that hold', async () => {
    const { held, output } = await played(holds, holds)
    expect(held).toBe(true)
    expect(output).toMatch(/1\. This holds\n.*✓ something\n\n2\. This holds/)
  })

  it('says which step did not hold and why, and goes no further', async () => {
    const { held, output } = await played(holds, fails, holds)
    expect(held).toBe(false)
    expect(output).toMatch(/✗ the wall has a hole\n\nStep 2 of 3 failed: This does not$/)
  })
})

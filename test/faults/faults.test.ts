import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
  promisify(execFile)(process.execPath, ['faults/main.ts', ...args])

test('a replica that is killed loses nothing, which is one line of JSON', async () => {
  // On a busy machine somebody may have waited for longer than is right: then it fails, and says the same.
  const { stdout } = await run('replica-kill', '--times', '1', '--json').catch(
    (error: { stdout: string }) => error,
  )
  const lines = stdout.trim().split('\n')
  expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).toEqual([
    ['name', 'acked', 'lost', 'duplicates', 'longest_gap_ms'],
  ])
  expect(JSON.parse(stdout)).toMatchObject({ name: 'replica-kill', lost: 0 })
}, 60_000)

test('what is not understood is said, all of it, and nothing is run', async () => {
  await expect(run('replica-kil', 'herd', '--times', '0')).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/replica-kil is no fault: replica-kill, .*\n--times: /),
  })
})
